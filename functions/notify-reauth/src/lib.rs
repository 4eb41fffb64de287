//! Mints the reconnect link and delivers an event to each channel.
