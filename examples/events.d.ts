// Events of `/`, generated from the contract `Index` in Rust. Do not edit.

/** The events that the server sends in `/`. */
export type ServerToClient = {};

/** The events that clients send in `/`. */
export type ClientToServer = {
  /** Requests the status of the server. */
  status: (ack: (answer: Status | Rejection) => void) => void;
};

/** Acknowledgement of an event that the server rejects, with the reason. */
export interface Rejection {
  error: { message: string; data?: unknown };
}

/** Status shown by the index page and by `GET /api/status`. */
export interface Status {
  version: string;
  /** Time since the start, in seconds. */
  uptime: number;
  /**
   * Number of connected clients.
   * @asType integer
   * @minimum 0
   */
  connections: number;
  /** Whether the book is at `/book/`. */
  book: boolean;
  /** Whether the API documentation is at `/doc/`. */
  doc: boolean;
}
