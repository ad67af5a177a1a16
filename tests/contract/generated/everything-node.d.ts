// Events of `/every-{thing}`, generated from the contract `Everything` in Rust. Do not edit.

/** The events that the server sends in `/every-{thing}`. */
export type ServerToClient = {
  /**
   * A message of another client.
   * @param messageId asType integer, minimum 0
   */
  said: (messageId: number, said: Said1) => void;
  "still there?": (ack: (answer: string) => void) => void;
  /**
   * @param arg0 maxLength 4
   * @param arg1 asType integer, minimum 0, maximum 9
   */
  vote: (arg0: string, arg1: number, ack: (arg0: boolean, arg1: Level[]) => void) => void;
  picture: (type: string, data: Buffer) => void;
  /** Only sent, and borrowed. */
  joined: (joined: string) => void;
  /** Its name is reserved in the declarations. */
  rejection: (rejection: Rejection2) => void;
};

/** The events that clients send in `/every-{thing}`. */
export type ClientToServer = {
  /**
   * Says something in a room.
   *
   * The first line is short, and this is *\/ not the end.
   */
  say: (say: Say, ack: (answer: Receipt) => void) => void;
  /** One argument, which is a tuple. */
  "moved to": (movedTo: [number, number], ack: () => void) => void;
  /**
   * @param arg0 maxLength 4
   * @param arg1 asType integer, minimum 0, maximum 9
   */
  vote: (arg0: string, arg1: number, ack: (arg0: boolean, arg1: Level[]) => void) => void;
  /**
   * Every kind of variant.
   * @param arg0 asType integer, minimum 0, maximum 255
   * @param arg1 asType integer, minimum 0, maximum 255
   */
  step: (step: Step, ack: (arg0: number, arg1: number) => void) => void;
  find: (find: Find, ack: (answer: Tree | null) => void) => void;
  refresh: () => void;
  picture: (type: string, data: ArrayBuffer | ArrayBufferView) => void;
};

/** The events that the servers of a cluster send each other in `/every-{thing}`. */
export type ServerToServer = {
  /**
   * Between servers.
   * @param answer asType integer, minimum 0
   */
  count: (count: Count, ack: (answer: number) => void) => void;
};

/** The `auth` of clients: `io("/every-{thing}", { auth })`. */
export interface Auth {
  token: string;
}

/** Between servers. */
export interface Count {
  room: string;
}

export interface Find {
  key: Key;
  class?: Shape | null;
  by_name: Record<string, Shape>;
  by_number: Record<string, boolean>;
  anything: unknown;
  grid: [[number, number, number], [number, number, number]];
}

export type Key = number | string;

/** Importance of a message. */
export type Level = "info" | "warning";

export interface Picture {
  /**
   * @asType integer
   * @minimum 1
   */
  width: number;
  /** @maxLength 4 */
  data: Buffer;
}

export interface PictureInput {
  /**
   * @asType integer
   * @minimum 1
   */
  width: number;
  /** @maxLength 4 */
  data: ArrayBuffer | ArrayBufferView;
}

export interface Receipt {
  /**
   * @asType integer
   * @minimum 1
   */
  id: number;
  picture: Picture | null;
}

/** Its name is reserved in the declarations. */
export interface Rejection2 {
  why: string;
}

export interface Said1 {
  text: string;
  /** @default "info" */
  level: Level;
  author: string;
  at: number;
}

/**
 * Says something in a room.
 *
 * The first line is short, and this is *\/ not the end.
 */
export interface Say {
  /**
   * The room.
   * @minLength 1
   * @maxLength 32
   * @pattern ^[a-z ]+$
   */
  roomName: string;
  /**
   * @minLength 1
   * @maxLength 8
   */
  text: string;
  /**
   * @maxItems 3
   * @items.maxLength 4
   * @default []
   */
  tags?: string[];
  /**
   * @asType integer
   * @minimum 1
   * @maximum 5
   * @default 1
   */
  priority?: number;
  /** @default "info" */
  level?: Level;
  picture?: PictureInput | null;
  /**
   * @asType integer
   * @minimum 0
   * @deprecated
   */
  replyTo?: number | null;
}

/** Internally tagged. */
export type Shape = {
  kind: "circle";
  radius: number;
} | {
  kind: "point";
};

/** Every kind of variant. */
export type Step =
  /** Not at all. */
  | "stay"
  | {
    /**
     * @minimum -1
     * @maximum 1
     */
    turn: number;
  }
  | {
    to: [number, number];
  }
  | {
    jump: {
      /**
       * @asType integer
       * @minimum 0
       * @maximum 3
       */
      height: number;
    };
  };

/** It refers to itself. */
export interface Tree {
  value: string;
  children: Tree[];
}
