// Events of `/notifications`, generated from the contract `Notifications` in Rust. Do not edit.

/** The events that the server sends in `/notifications`. */
export type ServerToClient = {
  /** Connected users and topics, sent after the connection and after each change. */
  audience: (audience: Audience) => void;
  /** A notification. Pages acknowledge it, and the sender's receipt counts these acknowledgements. */
  notification: (notification: Notification, ack: () => void) => void;
};

/** The events that clients send in `/notifications`. */
export type ClientToServer = {
  /** Replaces the topics of this connection. The answer has the notifications kept for this user and these topics. */
  subscribe: (subscribe: Subscribe, ack: (answer: Subscribed | Rejection) => void) => void;
  /** Sends a notification; the body of `POST /api/notify` has the same form. */
  notify: (notify: Request, ack: (answer: Receipt | Rejection) => void) => void;
};

/** Acknowledgement of an event that the server rejects, with the reason. */
export interface Rejection {
  error: { message: string; data?: unknown };
}

/** Connected users and topics, sent after the connection and after each change. */
export interface Audience {
  /** @uniqueItems true */
  users: string[];
  topics: Topic[];
}

/** Several connections may have the same user. */
export interface Auth {
  user: string;
}

export type Level = "info" | "success" | "warning" | "critical";

/** A notification. Pages acknowledge it, and the sender's receipt counts these acknowledgements. */
export interface Notification {
  id: string;
  /**
   * Time in milliseconds since 1970, by the server's clock.
   * @asType integer
   * @minimum 0
   */
  at: number;
  title: string;
  body?: string;
  level: Level;
  /** User who sent it; absent if it came over HTTP. */
  from?: string;
  to?: Target;
}

/** Result of sending a notification. */
export interface Receipt {
  id: string;
  /**
   * Number of connections to which it was sent.
   * @asType integer
   * @minimum 0
   */
  recipients: number;
  /**
   * Number of connections that acknowledged it in time.
   * @asType integer
   * @minimum 0
   */
  delivered: number;
}

/** Sends a notification; the body of `POST /api/notify` has the same form. */
export interface Request {
  /**
   * @minLength 1
   * @maxLength 120
   */
  title: string;
  /** @maxLength 1000 */
  body?: string | null;
  /** @default "info" */
  level?: Level;
  /** Recipients; everyone if absent. */
  to?: Target | null;
}

/** Replaces the topics of this connection. The answer has the notifications kept for this user and these topics. */
export interface Subscribe {
  /**
   * @maxItems 100
   * @uniqueItems true
   */
  topics: string[];
}

export interface Subscribed {
  /** @uniqueItems true */
  topics: string[];
  inbox: Notification[];
}

/** Recipients of a notification, if it is not for everyone. */
export type Target = {
  topic: string;
} | {
  user: string;
};

export interface Topic {
  name: string;
  /**
   * @asType integer
   * @minimum 0
   */
  subscribers: number;
}
