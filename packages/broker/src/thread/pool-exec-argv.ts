/**
 * `execArgv` of every pool of threads: none of the process's own, since a loader or agent given to it by --import would run in
 * each thread. Piscina requires its worker's file before it imports it, and a thread that is ended while it requires an ES
 * module takes the process down (Node 20: abort in `Module::IsGraphAsync`, once in a hundred ends at a random moment of the
 * start; never in 1,100 with this). So it has to import it at once.
 */
export const POOL_EXEC_ARGV: readonly string[] = ["--no-experimental-require-module"];
