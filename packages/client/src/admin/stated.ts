/** Without what is undefined: to the broker a name that is there is a wish. */
export function stated(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}
