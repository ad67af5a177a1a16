//! The Socket.IO server
