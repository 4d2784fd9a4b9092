// Greets, and shows what a function knows of itself.
module.exports = (request) => {
  const { pathname, searchParams } = new URL(request.url);
  const name = searchParams.get('name') ?? 'world';
  console.log(`greeting ${name}`); // `aether logs` shows it, with the call's id
  return {
    message: `${process.env.GREETING ?? 'Hello'}, ${name}!`,
    path: pathname,
    function: process.env.AETHER_FUNCTION,
    instance: process.env.AETHER_INSTANCE,
    node: process.version,
  };
};
