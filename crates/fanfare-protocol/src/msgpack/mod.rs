//! The packet form of `socket.io-msgpack-parser`.
