/**
 * Promise.withResolvers for Node 20, which lacks it: @platformatic/kafka is made for Node 22, and this is all that
 * it misses on 20. Import it before the client.
 */
interface Resolvers {
  promise: Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (reason: unknown) => void;
}

const standard = Promise as PromiseConstructor & { withResolvers?: () => Resolvers };
standard.withResolvers ??= (): Resolvers => {
  const resolvers = {} as Resolvers;
  resolvers.promise = new Promise((resolve, reject) => {
    resolvers.resolve = resolve;
    resolvers.reject = reject;
  });
  return resolvers;
};
