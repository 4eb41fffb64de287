//! The texts of the mails, and of the page that stops them.

use crate::{Name, Text};

messages! {
    mail_greeting(name: Name<'_>);

    mail_subject_ended(service: Name<'_>);
    /// `count` are the services besides the one that is named.
    mail_subject_ended_more(service: Name<'_>, count: u64);
    mail_subject_ends(service: Name<'_>);
    mail_subject_ends_more(service: Name<'_>, count: u64);
    mail_subject_connected(service: Name<'_>);
    mail_subject_connected_more(service: Name<'_>, count: u64);

    mail_ended(service: Name<'_>, date: &Text);
    mail_ended_digime(application: Name<'_>, date: &Text);
    mail_ends(service: Name<'_>, date: &Text);
    mail_reconnect(count: u64, application: Name<'_>);
    mail_renew(count: u64, application: Name<'_>);
    /// The page cannot help: only the application can.
    mail_connect_again(application: Name<'_>);

    /// The button, when there is more than one connection.
    mail_page_button();
    /// Before the address of the page, in plain text.
    mail_page();
    mail_open_application(application: Name<'_>);
    /// Of a mail that has none at all.
    mail_no_link();
    mail_no_password(application: Name<'_>);

    mail_why(application: Name<'_>);
    mail_stop();
    mail_stop_without_link(application: Name<'_>);

    unsubscribe_title();
    unsubscribe_text(application: Name<'_>);
    unsubscribe_button();
    unsubscribed_title();
    unsubscribed_text(application: Name<'_>);
}
