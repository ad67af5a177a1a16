//! Engine.IO and Socket.IO without I/O: packets, parsers, state machines
