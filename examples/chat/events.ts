// The events of the chat, on the namespace `/chat`. ../README.md describes them;
// crates/fanfare-cli/src/demo/chat.rs is the other side.
import type { Reply } from "@web/connection.ts";

/** Sent as `auth` when connecting. A refusal is a `connect_error` that carries a `Problem`. */
export interface Auth {
  name: string;
  key: string;
}

export interface User {
  /** Stable for one key, says nothing about it. */
  id: string;
  name: string;
}

export interface Room {
  name: string;
  /** Number of people in the room now. */
  people: number;
  /** Number of messages ever sent to the room. */
  messages: number;
}

export interface Picture {
  id: string;
  name: string;
  type: string;
  /** Bytes. */
  size: number;
  /** Pixels. */
  width: number;
  height: number;
  /** The bytes; absent in a history, where `picture` fetches them when they are looked at. */
  data?: ArrayBuffer;
}

export interface Message {
  /** Never used twice, not even by another run of the server. */
  id: string;
  /** Which message of its room it is, from 1. */
  number: number;
  room: string;
  author: User;
  /** Milliseconds since 1970, the server's clock. */
  at: number;
  text: string;
  picture?: Picture;
}

export interface Welcome {
  me: User;
  rooms: Room[];
  limits: {
    /** Characters. */
    text: number;
    /** Bytes of one picture. */
    picture: number;
  };
}

export interface Joined {
  room: Room;
  people: User[];
  history: Message[];
}

export interface Outgoing {
  /** Chosen by the sender: the same nonce sent again (lost acknowledgement) is not a second message. */
  nonce: string;
  room: string;
  text: string;
  picture?: Pick<Picture, "name" | "type" | "width" | "height"> & { data: Uint8Array };
}

export type ServerEvents = {
  /** First event after the connection. */
  welcome: (welcome: Welcome) => void;
  /** The whole list of rooms, after one was created or removed. */
  rooms: (rooms: Room[]) => void;
  /** One room changed: people or messages. */
  room: (room: Room) => void;
  joined: (event: { room: string; user: User }) => void;
  left: (event: { room: string; user: User }) => void;
  /** Volatile. */
  typing: (event: { room: string; user: User; typing: boolean }) => void;
  /** A message of another person. */
  message: (message: Message) => void;
};

export type ClientEvents = {
  /** Leaves the room the socket is in, enters `room`, which is created if need be. */
  join: (request: { room: string }, ack: (reply: Reply<Joined>) => void) => void;
  message: (message: Outgoing, ack: (reply: Reply<{ message: Message }>) => void) => void;
  /** Volatile. */
  typing: (event: { room: string; typing: boolean }) => void;
  /** The bytes of a picture in the history. */
  picture: (request: { id: string }, ack: (reply: Reply<{ data: ArrayBuffer }>) => void) => void;
};
