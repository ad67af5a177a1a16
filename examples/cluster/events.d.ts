// Events of `/cluster`, generated from the contract `ClusterPage` in Rust. Do not edit.

/** The events that the server sends in `/cluster`. */
export type ServerToClient = {
  /** The first event after the connection: the node that has it; 0 if there are no nodes. */
  here: (here: Here) => void;
  /** State of the nodes, twice a second. */
  state: (state: ClusterState) => void;
  /**
   * A number of the count, sent to all its connections once.
   * @param number asType integer, minimum 0
   */
  number: (number: number) => void;
};

/** The events that clients send in `/cluster`. */
export type ClientToServer = {
  /** Sends a number of a count. It may be sent again: each connection receives it once. */
  count: (request: Count, ack: (answer: Counted | Rejection) => void) => void;
  /** Kills, drains or starts a node. */
  control: (request: Control, ack: (rejection?: Rejection) => void) => void;
};

/** Acknowledgement of an event that the server rejects, with the reason. */
export interface Rejection {
  error: { message: string; data?: unknown };
}

export type Action =
  | ("drain" | "start")
  /** Ends the process with SIGKILL. */
  | "kill";

/** Without a count, the connection is that of a page that watches the nodes. */
export interface Auth {
  /**
   * Id of the count whose numbers the connection receives.
   * @default null
   */
  count?: string;
  /**
   * Highest number that it has received: all up to it have arrived.
   * @asType integer
   * @minimum 0
   * @default 0
   */
  last?: number;
}

/** State of the nodes, twice a second. */
export interface ClusterState {
  /** Engine that connects the nodes. */
  engine: string;
  nodes: NodeView[];
}

/** Kills, drains or starts a node. */
export interface Control {
  /**
   * @asType integer
   * @minimum 0
   * @maximum 255
   */
  node: number;
  action: Action;
}

/** Sends a number of a count. It may be sent again: each connection receives it once. */
export interface Count {
  /**
   * @minLength 1
   * @maxLength 64
   */
  count: string;
  /**
   * @asType integer
   * @minimum 1
   */
  number: number;
}

export interface Counted {
  /**
   * Number of nodes that have stored it.
   * @asType integer
   * @minimum 0
   */
  stored: number;
}

/** The first event after the connection: the node that has it; 0 if there are no nodes. */
export interface Here {
  /**
   * @asType integer
   * @minimum 0
   * @maximum 255
   */
  node: number;
}

/** A node. */
export interface NodeView {
  /**
   * From 1.
   * @asType integer
   * @minimum 0
   * @maximum 255
   */
  number: number;
  phase: Phase;
  /**
   * Number of its connections.
   * @asType integer
   * @minimum 0
   */
  clients: number;
  /**
   * Number of messages to other nodes since its start.
   * @asType integer
   * @minimum 0
   */
  messages_out: number;
  /**
   * Number of messages of other nodes since its start.
   * @asType integer
   * @minimum 0
   */
  messages_in: number;
  /**
   * Time since its start, in seconds.
   * @asType integer
   * @minimum 0
   */
  uptime: number;
  /**
   * Id of its process.
   * @asType integer
   * @minimum 0
   */
  pid: number;
}

/** Phase in the life of a node. */
export type Phase = "starting" | "ready" | "draining" | "drained" | "killed";
