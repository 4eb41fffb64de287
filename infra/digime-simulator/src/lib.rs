//! A digi.me to talk to: API, consent pages, levers.
