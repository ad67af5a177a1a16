// Sharded publish and subscribe.
import { redisCluster, redisServer } from "../lib/cluster.js";
import { emitsOfFanfare, mixed } from "../lib/suite.js";

for (const [title, adapter] of [["dynamic", "redis-sharded"], ["static", "redis-sharded-static"], ["private", "redis-sharded-private"]]) {
  mixed(`sharded, ${title}`, ["node", "fanfare", "node"], redisServer, { adapter, more: emitsOfFanfare });
  mixed(`sharded, ${title}`, ["fanfare", "node", "fanfare"], redisServer, { adapter, more: emitsOfFanfare });
}
mixed("sharded, Redis Cluster", ["fanfare", "node", "fanfare"], redisCluster, { adapter: "redis-sharded", unordered: true, more: emitsOfFanfare });
