/** What each role may do, in the order of the roles. */
export const ROLES = /** @type {const} */ ({
  viewer: "sees everything and changes nothing",
  operator: "sees everything, adds and revokes devices, judges anomalies and replays dead letters",
  admin: "may do everything: also delete devices and say who logs in",
});
