// Node's adapters, with a prefix of their own.
export async function redis(url) {
  const { createClient } = await import("redis");
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  return client;
}

const adapters = {
  async redis(url, key) {
    const { createAdapter } = await import("@socket.io/redis-adapter");
    return createAdapter(await redis(url), await redis(url), { key });
  },
  async "redis-specific"(url, key) {
    const { createAdapter } = await import("@socket.io/redis-adapter");
    return createAdapter(await redis(url), await redis(url), { key, publishOnSpecificResponseChannel: true });
  },
};

export function adapterOf(name, url, prefix) {
  return adapters[name](url, prefix);
}
