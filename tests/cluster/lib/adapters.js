// Node's adapters, with a prefix of their own.
export async function redis(url) {
  const { createClient, createCluster } = await import("redis");
  // Several addresses, with commas between them, are those of a Redis Cluster.
  const client = url.includes(",")
    ? createCluster({ rootNodes: url.split(",").map((url) => ({ url })) })
    : createClient({ url });
  client.on("error", () => {});
  await client.connect();
  return client;
}

const adapters = {
  async postgres(url, channelPrefix) {
    const { default: pg } = await import("pg");
    const { createAdapter } = await import("@socket.io/postgres-adapter");
    const pool = new pg.Pool({ connectionString: url, max: 2 });
    pool.on("error", () => {});
    const columns = "id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea";
    await pool.query(`CREATE TABLE IF NOT EXISTS socket_io_attachments (${columns})`).catch(() => {});
    return createAdapter(pool, { channelPrefix });
  },
  async redis(url, key) {
    const { createAdapter } = await import("@socket.io/redis-adapter");
    return createAdapter(await redis(url), await redis(url), { key });
  },
  async "redis-specific"(url, key) {
    const { createAdapter } = await import("@socket.io/redis-adapter");
    return createAdapter(await redis(url), await redis(url), { key, publishOnSpecificResponseChannel: true });
  },
  // The adapter before `@socket.io/redis-adapter`, with requests that name a single socket.
  async "redis-old"(url, key) {
    const { createAdapter } = await import("socket.io-redis");
    return createAdapter(url, { key });
  },
  "redis-sharded": (url, prefix) => sharded(url, prefix, "dynamic"),
  "redis-sharded-static": (url, prefix) => sharded(url, prefix, "static"),
  "redis-sharded-private": (url, prefix) => sharded(url, prefix, "dynamic-private"),
  "redis-streams": (url, prefix) => streams(url, prefix, 1),
  "redis-streams-4": (url, prefix) => streams(url, prefix, 4),
  "redis-streams-plain": (url, prefix) => streams(url, prefix, 1, true),
};

async function streams(url, prefix, streamCount, onlyPlaintext = false) {
  const { createAdapter } = await import("@socket.io/redis-streams-adapter");
  const options = { streamName: prefix, streamCount, onlyPlaintext, channelPrefix: prefix, sessionKeyPrefix: `${prefix}:session:` };
  return createAdapter(await redis(url), options);
}

async function sharded(url, channelPrefix, subscriptionMode) {
  const { createShardedAdapter } = await import("@socket.io/redis-adapter");
  return createShardedAdapter(await redis(url), await redis(url), { channelPrefix, subscriptionMode });
}

export function adapterOf(name, url, prefix) {
  return adapters[name](url, prefix);
}
