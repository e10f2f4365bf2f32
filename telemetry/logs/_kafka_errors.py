"""What the Kafka client's errors mean to us: one table, and a test that it names every one of them.

`UNAVAILABLE` may pass when it is tried again, `MISCONFIGURED` needs a person, `TOO_LARGE` never passes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from aiokafka import errors as kafka

from telemetry.errors import LogUnavailable, Misconfigured, SensorlineError, TooLarge

RETRY_AFTER_S = 2.0

TOO_LARGE: frozenset[type[Exception]] = frozenset(
    {
        kafka.MessageSizeTooLargeError,
        kafka.RecordTooLargeError,
        kafka.RecordListTooLargeError,
    }
)

MISCONFIGURED: frozenset[type[Exception]] = frozenset(
    {
        # who we are, and what we may do
        kafka.AuthenticationFailedError,
        kafka.AuthenticationMethodNotSupported,
        kafka.SaslAuthenticationFailed,
        kafka.UnsupportedSaslMechanismError,
        kafka.IllegalSaslStateError,
        kafka.SecurityDisabled,
        kafka.TopicAuthorizationFailedError,
        kafka.GroupAuthorizationFailedError,
        kafka.ClusterAuthorizationFailedError,
        kafka.TransactionalIdAuthorizationFailed,
        kafka.DelegationTokenAuthDisabled,
        kafka.DelegationTokenAuthorizationFailed,
        kafka.DelegationTokenExpired,
        kafka.DelegationTokenNotFound,
        kafka.DelegationTokenOwnerMismatch,
        kafka.DelegationTokenRequestNotAllowed,
        kafka.InvalidPrincipalType,
        # what we are asked to make
        kafka.InvalidConfigurationError,
        kafka.InvalidPartitionsError,
        kafka.InvalidReplicationAssignmentError,
        kafka.InvalidReplicationFactorError,
        kafka.InvalidTopicError,
        kafka.PolicyViolationError,
        kafka.TopicAlreadyExistsError,
        # what this broker does not speak, and what our settings got wrong
        kafka.IncompatibleBrokerVersion,
        kafka.UnrecognizedBrokerVersion,
        kafka.UnsupportedVersionError,
        kafka.UnsupportedForMessageFormatError,
        kafka.UnsupportedCodecError,
        kafka.KafkaConfigurationError,
        kafka.IllegalArgumentError,
        kafka.InconsistentGroupProtocolError,
        kafka.InvalidGroupIdError,
        kafka.InvalidRequestError,
        kafka.InvalidRequiredAcksError,
        kafka.InvalidSessionTimeoutError,
        kafka.InvalidTimestampError,
        kafka.InvalidTransactionTimeout,
        kafka.InvalidCommitOffsetSizeError,
        kafka.OffsetMetadataTooLargeError,
    }
)

UNAVAILABLE: frozenset[type[Exception]] = frozenset(
    {
        # the broker, or the way to it
        kafka.KafkaConnectionError,
        kafka.KafkaProtocolError,
        kafka.KafkaTimeoutError,
        kafka.KafkaUnavailableError,
        kafka.KafkaStorageError,
        kafka.BrokerNotAvailableError,
        kafka.BrokerResponseError,
        kafka.Cancelled,
        kafka.CorrelationIdError,
        kafka.CorruptRecordException,
        kafka.LeaderNotAvailableError,
        kafka.ListenerNotFound,
        kafka.LogDirNotFound,
        kafka.MetadataEmptyBrokerList,
        kafka.NoBrokersAvailable,
        kafka.NodeNotReadyError,
        kafka.NotControllerError,
        kafka.NotEnoughReplicasAfterAppendError,
        kafka.NotEnoughReplicasError,
        kafka.NotLeaderForPartitionError,
        kafka.QuotaViolationError,
        kafka.ReassignmentInProgress,
        kafka.ReplicaNotAvailableError,
        kafka.RequestTimedOutError,
        kafka.StaleControllerEpochError,
        kafka.StaleLeaderEpochCodeError,
        kafka.StaleMetadata,
        kafka.TooManyInFlightRequests,
        kafka.UnknownError,
        kafka.UnknownTopicOrPartitionError,
        # reading
        kafka.FetchSessionIdNotFound,
        kafka.InvalidFetchRequestError,
        kafka.InvalidFetchSessionEpoch,
        kafka.NoOffsetForPartitionError,
        kafka.OffsetOutOfRangeError,
        kafka.ConsumerStoppedError,
        kafka.IllegalOperation,
        # a group that changes
        kafka.CommitFailedError,
        kafka.GroupCoordinatorNotAvailableError,
        kafka.GroupIdNotFound,
        kafka.GroupLoadInProgressError,
        kafka.IllegalGenerationError,
        kafka.IllegalStateError,
        kafka.MemberIdRequired,
        kafka.NonEmptyGroup,
        kafka.NotCoordinatorForGroupError,
        kafka.RebalanceInProgressError,
        kafka.UnknownMemberIdError,
        # a producer that has to be made anew
        kafka.ConcurrentTransactions,
        kafka.DuplicateSequenceNumber,
        kafka.InvalidProducerEpoch,
        kafka.InvalidProducerIdMapping,
        kafka.InvalidTxnState,
        kafka.OperationNotAttempted,
        kafka.OutOfOrderSequenceNumber,
        kafka.ProducerClosed,
        kafka.ProducerFenced,
        kafka.TransactionCoordinatorFenced,
        kafka.UnknownProducerId,
        # never raised, but in the client's tree
        kafka.KafkaError,
        kafka.NoError,
    }
)

TABLE: dict[type[Exception], type[SensorlineError]] = {
    **dict.fromkeys(TOO_LARGE, TooLarge),
    **dict.fromkeys(MISCONFIGURED, Misconfigured),
    **dict.fromkeys(UNAVAILABLE, LogUnavailable),
}

TRANSLATED = (kafka.KafkaError, kafka.ConsumerStoppedError, kafka.IllegalOperation, OSError, TimeoutError)

GROUP_MOVED_ON = (
    kafka.CommitFailedError,
    kafka.IllegalStateError,
    kafka.IllegalGenerationError,
    kafka.RebalanceInProgressError,
    kafka.UnknownMemberIdError,
)


def translate(error: BaseException, doing: str) -> SensorlineError:
    """Our error for one of theirs; what the table does not know may pass when it is tried again."""
    ours = next((TABLE[cls] for cls in type(error).__mro__ if cls in TABLE), LogUnavailable)
    text = f"Kafka, {doing}: {type(error).__name__}: {error}".removesuffix(": ")
    return ours(text, retry_after_s=RETRY_AFTER_S if ours is LogUnavailable else None)


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Let nothing of the client's through."""
    try:
        yield
    except TRANSLATED as e:
        raise translate(e, doing) from e


@contextlib.asynccontextmanager
async def within(timeout_s: float, doing: str) -> AsyncIterator[None]:
    """Let nothing of the client's through, and nothing take longer than this."""
    with translated(doing):
        async with asyncio.timeout(timeout_s):
            yield
