// Events of `/`, generated from the contract `Events` in Rust. Do not edit.

/** The events that the server sends in `/`. */
export type ServerToClient = {
  /** The whole list, after the connection and after each change. */
  list: (entries: Entry[]) => void;
};

/** The events that clients send in `/`. */
export type ClientToServer = {
  /**
   * Adds an entry at the end. Acknowledged with its id.
   * @param answer asType integer, minimum 0
   */
  add: (add: Add, ack: (answer: number | Rejection) => void) => void;
  /**
   * Marks an entry as done, or as not done. Acknowledged with the new number of open entries.
   * @param answer asType integer, minimum 0
   */
  mark: (mark: Mark, ack: (answer: number | Rejection) => void) => void;
};

/** Acknowledgement of an event that the server rejects, with the reason. */
export interface Rejection {
  error: { message: string; data?: unknown };
}

/** Adds an entry at the end. Acknowledged with its id. */
export interface Add {
  /** 1 to 100 characters. */
  text: string;
}

/** An entry of the list. */
export interface Entry {
  /**
   * @asType integer
   * @minimum 0
   */
  id: number;
  text: string;
  done: boolean;
}

/** Marks an entry as done, or as not done. Acknowledged with the new number of open entries. */
export interface Mark {
  /**
   * @asType integer
   * @minimum 0
   */
  id: number;
  done: boolean;
}
