/** What each role may do, in the order of the roles. */
export const ROLES = /** @type {const} */ ({
  viewer: "sees everything and changes nothing",
  operator: "also adds and revokes devices, judges anomalies, replays dead letters",
  admin: "also deletes devices and says who may log in",
});
