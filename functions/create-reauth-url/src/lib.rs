//! Makes a reauthorization and its URL; serves the reconnect link.
