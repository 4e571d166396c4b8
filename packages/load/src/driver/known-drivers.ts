/** URL of the driver of Millrace, on @millrace/client. */
export const MILLRACE_DRIVER: string = new URL("./millrace-driver.js", import.meta.url).href;
