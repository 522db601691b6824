/** Conditions of ServiceProfiles that say nothing are refused. */
export const HAS_FIELD = {
  holds: (match: object) => Object.values(match).some((value) => value !== undefined),
  message: "must have a field",
};
