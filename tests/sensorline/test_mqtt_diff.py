"""What sync decides, without a broker: commands from two lists, and the file's new content."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorline import dynsec_file, mqtt_diff
from telemetry import mqtt_accounts as accounts
from telemetry.mqtt_accounts import Account
from telemetry.verifier import Verifier

DENIED = dict(accounts.DEFAULT_ACCESS)
VERIFIER = Verifier("aGFzaA==", "c2FsdA==", 101)


def account(device: str, token: int, *, enabled: bool = True, verifier: Verifier | None = VERIFIER) -> Account:
    return Account(f"{device}.{token:012x}", device, enabled, verifier)


def client(of: Account, **changed: Any) -> dict[str, Any]:
    made = {"username": of.username, "textname": accounts.TEXT_NAME, "roles": accounts.roles(of.device), "groups": []}
    return made | changed


def role(device: str, **changed: Any) -> dict[str, Any]:
    return {"rolename": accounts.role(device), "acls": accounts.device_acls(device)} | changed


def commands(plan: mqtt_diff.Plan) -> list[str]:
    return [f"{c['command']} {c.get('username') or c.get('rolename') or ''}".strip() for c in plan.commands]


ONE, TWO = account("a.b", 1), account("a.b", 2)


def test_nothing_to_do() -> None:
    listed = role("a.b", acls=[acl | {"priority": 0} for acl in reversed(accounts.device_acls("a.b"))])
    plan = mqtt_diff.plan([ONE, TWO], [client(ONE), client(TWO)], [listed], DENIED)
    assert (commands(plan), plan.missing) == ([], [])


def test_revoked_expired_and_deleted_are_removed_and_their_role_with_the_last() -> None:
    have = [client(ONE), client(TWO)]
    plan = mqtt_diff.plan([ONE._replace(enabled=False), TWO], have, [role("a.b")], DENIED)
    assert commands(plan) == [f"deleteClient {ONE.username}"]
    plan = mqtt_diff.plan([], have, [role("a.b")], DENIED)
    assert commands(plan) == [f"deleteClient {ONE.username}", f"deleteClient {TWO.username}", "deleteRole device.a.b"]


def test_missing_ones_get_their_role_now_and_wait_for_the_file() -> None:
    plan = mqtt_diff.plan([ONE, TWO], [client(TWO)], [], DENIED)
    assert (commands(plan), plan.missing) == (["createRole device.a.b"], [ONE])


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"roles": [{"rolename": "admin"}]}, ["modifyClient"]),
        ({"roles": [*accounts.roles("a.b"), {"rolename": "more"}]}, ["modifyClient"]),
        ({"groups": [{"groupname": "g"}]}, ["modifyClient"]),
        ({"disabled": True}, ["enableClient"]),
        ({"disabled": True, "roles": []}, ["modifyClient", "enableClient"]),
    ],
)
def test_what_was_meddled_with_is_mended(changed: dict[str, Any], expected: list[str]) -> None:
    plan = mqtt_diff.plan([ONE], [client(ONE, **changed)], [role("a.b")], DENIED)
    assert [c["command"] for c in plan.commands] == expected


def test_roles_and_defaults_that_allow_more_are_set_back() -> None:
    more = role("a.b", acls=[*accounts.device_acls("a.b"), {"acltype": "subscribePattern", "topic": "#", "allow": 1}])
    plan = mqtt_diff.plan([ONE], [client(ONE)], [more], DENIED | {"subscribe": True})
    assert commands(plan) == ["setDefaultACLAccess", "modifyRole device.a.b"]


OTHERS = [
    {"username": "admin", "roles": [{"rolename": "admin"}]},
    {"username": "a.b", "roles": [{"rolename": "device.a.b"}]},
    {"username": "pi.0123456789ab", "roles": [{"rolename": "own"}]},
    {"username": f"{'x' * 65}.0123456789ab", "roles": []},
]


def test_others_accounts_and_roles_are_left() -> None:
    roles = [{"rolename": name, "acls": []} for name in ("admin", "device", "device.a/b", "devices.x", "device.")]
    plan = mqtt_diff.plan([], OTHERS, roles, DENIED)
    assert commands(plan) == []


@given(
    st.lists(st.tuples(st.sampled_from(["a", "a.b", "b"]), st.integers(0, 3), st.booleans()), max_size=12), st.data()
)
def test_carrying_the_plan_out_leaves_nothing_but_what_is_missing(
    tokens: list[tuple[str, int, bool]], data: st.DataObject
) -> None:
    wanted = list({f"{d}.{t}": account(d, t, enabled=e) for d, t, e in tokens}.values())
    clients = [client(a) for a in wanted if data.draw(st.booleans())] + [client(account("gone", 9))] + OTHERS
    roles = {f"device.{d}": role(d) for d in ("a", "gone") if data.draw(st.booleans())}
    plan = mqtt_diff.plan(wanted, clients, list(roles.values()), DENIED)
    have = {c["username"]: c for c in clients}
    for command in plan.commands:
        match command["command"]:
            case "deleteClient":
                del have[command["username"]]
            case "createRole":
                roles[command["rolename"]] = role(command["rolename"].removeprefix("device."))
            case "deleteRole":
                del roles[command["rolename"]]
            case other:
                pytest.fail(other)
    after = mqtt_diff.plan(wanted, have.values(), roles.values(), DENIED)
    assert (commands(after), after.missing) == ([], plan.missing)
    document = {"clients": list(have.values()), "roles": list(roles.values()), "defaultACLAccess": DENIED}
    made = dynsec_file.merged(document, wanted)
    loaded = mqtt_diff.plan(wanted, made["clients"], made["roles"], made["defaultACLAccess"])
    assert (commands(loaded), loaded.missing) == ([], [])
    assert dynsec_file.merged(made, wanted) == made
    assert [c for c in made["clients"] if c in OTHERS] == OTHERS


def test_an_account_without_a_verifier_cannot_come_through_the_file() -> None:
    old = ONE._replace(verifier=None)
    made = dynsec_file.merged({"clients": OTHERS, "roles": [], "groups": [{"groupname": "g"}]}, [old, TWO])
    assert [c["username"] for c in made["clients"]] == [*(c["username"] for c in OTHERS), TWO.username]
    assert made["groups"] == [{"groupname": "g"}]


def test_only_the_last_dot_separates() -> None:
    assert accounts.device_of("a.b.0123456789ab") == "a.b"
    assert accounts.device_of(accounts.username("a..b-", "0123456789ab")) == "a..b-"
    for foreign in ("admin", "a.b", ".0123456789ab", "a.0123456789AB", "a.0123456789ab0", "a/b.0123456789ab", ""):
        assert accounts.device_of(foreign) is None, foreign
