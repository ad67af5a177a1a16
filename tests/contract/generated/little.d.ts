// Events of `/`, generated from the contract `Little` in Rust. Do not edit.

/** The events that the server sends in `/`. */
export type ServerToClient = {
  refresh: () => void;
};

/** The events that clients send in `/`. */
export type ClientToServer = {};
