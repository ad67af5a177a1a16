//! The Engine.IO server as a tower service
