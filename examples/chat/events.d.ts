// Events of `/chat`, generated from the contract `Chat` in Rust. Do not edit.

/** The events that the server sends in `/chat`. */
export type ServerToClient = {
  /** The first event after the connection. */
  welcome: (welcome: Welcome) => void;
  /** All rooms, sent after one was created or removed. */
  rooms: (rooms: Room[]) => void;
  /** A room whose number of people or messages has changed. */
  room: (room: Room) => void;
  joined: (event: UserJoined) => void;
  left: (event: UserLeft) => void;
  /** A user of the room types or has stopped typing (volatile). */
  typing: (event: UserTyping) => void;
  /** A message of another person. */
  message: (message: Message) => void;
};

/** The events that clients send in `/chat`. */
export type ClientToServer = {
  /** Leaves the current room of the socket and enters this one, which is created if it does not exist. */
  join: (request: Join, ack: (answer: Joined | Rejection) => void) => void;
  /** A message as a browser sends it. */
  message: (message: Outgoing, ack: (answer: Delivered | Rejection) => void) => void;
  /** Tells the others in the room that the user types or has stopped typing (volatile). */
  typing: (event: Typing) => void;
  /** Fetches the bytes of a picture in the history. */
  picture: (request: GetPicture, ack: (answer: PictureBytes | Rejection) => void) => void;
};

/** Acknowledgement of an event that the server rejects, with the reason. */
export interface Rejection {
  error: { message: string; data?: unknown };
}

/** If the server rejects it, `connect_error` has the message and the data of a `Rejection`. */
export interface Auth {
  /** Not used by another connected user. */
  name: string;
  /**
   * Random secret of the browser.
   * @minLength 16
   * @maxLength 64
   */
  key: string;
}

export interface Delivered {
  message: Message;
}

/** Fetches the bytes of a picture in the history. */
export interface GetPicture {
  id: string;
}

/** Leaves the current room of the socket and enters this one, which is created if it does not exist. */
export interface Join {
  /**
   * @minLength 1
   * @maxLength 32
   */
  room: string;
}

/** State of a room as sent to a user who joins. */
export interface Joined {
  room: Room;
  people: User[];
  history: Message[];
}

export interface Limits {
  /**
   * Maximum length of a message, in characters.
   * @asType integer
   * @minimum 0
   */
  text: number;
  /**
   * Maximum size of a picture, in bytes.
   * @asType integer
   * @minimum 0
   */
  picture: number;
}

/** A message of another person. */
export interface Message {
  /** Unique, also across restarts of the server. */
  id: string;
  /**
   * Number of the message in its room, from 1.
   * @asType integer
   * @minimum 0
   */
  number: number;
  room: string;
  author: User;
  /**
   * Time in milliseconds since 1970, by the server's clock.
   * @asType integer
   * @minimum 0
   */
  at: number;
  text: string;
  picture?: Picture;
}

/** A message as a browser sends it. */
export interface Outgoing {
  /**
   * Chosen by the sender, who repeats it when the acknowledgement was lost: the server stores the message once.
   * @minLength 1
   * @maxLength 64
   */
  nonce: string;
  /**
   * @minLength 1
   * @maxLength 32
   */
  room: string;
  /** @maxLength 2000 */
  text: string;
  picture?: Upload | null;
}

/** Picture of a message. */
export interface Picture {
  id: string;
  name: string;
  type: string;
  /**
   * Size in bytes.
   * @asType integer
   * @minimum 0
   */
  size: number;
  /**
   * Width in pixels.
   * @asType integer
   * @minimum 0
   */
  width: number;
  /**
   * Height in pixels.
   * @asType integer
   * @minimum 0
   */
  height: number;
  /** Content; absent in a history, where the event `picture` fetches it when it is displayed. */
  data?: ArrayBuffer;
}

export interface PictureBytes {
  data: ArrayBuffer;
}

/** Entry of the list of rooms. */
export interface Room {
  name: string;
  /**
   * Number of people in the room now.
   * @asType integer
   * @minimum 0
   */
  people: number;
  /**
   * Number of messages ever sent to the room.
   * @asType integer
   * @minimum 0
   */
  messages: number;
}

/** Tells the others in the room that the user types or has stopped typing (volatile). */
export interface Typing {
  room: string;
  typing: boolean;
}

/** Picture as a browser sends it. The server detects its type from its first bytes. */
export interface Upload {
  name: string;
  /**
   * Width in pixels.
   * @asType integer
   * @minimum 1
   * @maximum 20000
   */
  width: number;
  /**
   * Height in pixels.
   * @asType integer
   * @minimum 1
   * @maximum 20000
   */
  height: number;
  data: ArrayBuffer | ArrayBufferView;
}

export interface User {
  /** The same for every connection with the same key, which cannot be derived from it. */
  id: string;
  name: string;
}

export interface UserJoined {
  room: string;
  user: User;
}

export interface UserLeft {
  room: string;
  user: User;
}

/** A user of the room types or has stopped typing (volatile). */
export interface UserTyping {
  room: string;
  user: User;
  typing: boolean;
}

/** The first event after the connection. */
export interface Welcome {
  me: User;
  rooms: Room[];
  limits: Limits;
}
