//! The texts of the mails.

messages! {}
