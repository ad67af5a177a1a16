// The events of the notifications app, on the namespace `/notifications`. ../README.md describes them;
// crates/fanfare-cli/src/demo/notifications.rs is the other side.
import type { Reply } from "@web/connection.ts";

/** Sent as `auth` when connecting. Several connections may be the same user. */
export interface Auth {
  user: string;
}

export const LEVELS = ["info", "success", "warning", "critical"] as const;
export type Level = (typeof LEVELS)[number];

/** Nobody named = everyone. */
export type Target = { topic: string } | { user: string };

export interface Notification {
  id: string;
  /** Milliseconds since 1970, the server's clock. */
  at: number;
  title: string;
  body?: string;
  level: Level;
  /** The user who sent it; absent when it came over HTTP. */
  from?: string;
  to?: Target;
}

/** What `notify` and `POST /api/notify` take. */
export interface Request {
  title: string;
  body?: string;
  level?: Level;
  to?: Target;
}

/** What they answer. */
export interface Receipt {
  id: string;
  /** Connections it was sent to. */
  recipients: number;
  /** Connections that acknowledged it in time. */
  delivered: number;
}

export interface Audience {
  users: string[];
  topics: { name: string; subscribers: number }[];
}

export type ServerEvents = {
  /** Who can be reached: after the connection, and whenever it changes. */
  audience: (audience: Audience) => void;
  /** Acknowledged by the page: this is what the sender's count of deliveries counts. */
  notification: (notification: Notification, ack: () => void) => void;
};

export type ClientEvents = {
  /** Replaces the topics of this connection; answers what the inbox holds for this user and these topics. */
  subscribe: (
    request: { topics: string[] },
    ack: (reply: Reply<{ topics: string[]; inbox: Notification[] }>) => void,
  ) => void;
  notify: (request: Request, ack: (reply: Reply<Receipt>) => void) => void;
};
