/**
 * The file to start a thread with: one with all that its module imports, which the build makes (scripts/bundle-threads.mjs).
 * @param module the compiled module, in `dist/src/FOLDER/`
 */
export function threadFile(module: URL): URL {
  const name = module.pathname.slice(module.pathname.lastIndexOf("/") + 1);
  return new URL(`../../threads/${name}`, module);
}
