//! Receives digi.me's callback, checks it, heals the account, sends the browser on.
