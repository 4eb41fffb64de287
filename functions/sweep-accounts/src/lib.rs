//! Looks at what is due: undelivered events and unverified callbacks.
