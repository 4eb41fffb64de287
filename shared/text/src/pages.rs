//! The texts of the pages.

use crate::{Name, Text};

messages! {
    // The frame of every page.
    support_link(application: Name<'_>);
    back_button(application: Name<'_>);
    back_text(application: Name<'_>);
    try_again_button();

    // One account.
    reconnect_title(service: Name<'_>);
    reconnect_text(service: Name<'_>, application: Name<'_>);
    renew_title(service: Name<'_>);
    renew_text(service: Name<'_>, application: Name<'_>, date: &Text);
    renew_safe();
    checking_title(service: Name<'_>);
    checking_text();
    dismissed_title(service: Name<'_>);
    dismissed_text(service: Name<'_>);
    label_account();
    label_ended();
    label_works_until();
    not_yours();

    // What happens next.
    next_title();
    next_digime(application: Name<'_>);
    next_service(service: Name<'_>);
    next_digime_sign_in();
    next_back();

    // Buttons.
    reconnect_button(service: Name<'_>);
    reconnect_again_button();
    renew_button(service: Name<'_>);
    digime_button();
    postpone_button();
    dismiss_button();

    // The connection to digi.me.
    digime_title();
    digime_text(application: Name<'_>);
    digime_ends_text(application: Name<'_>, date: &Text);

    // Several accounts.
    list_title();
    list_title_renew();
    list_title_checking();
    list_title_accounts();
    list_text(application: Name<'_>);
    list_text_renew(application: Name<'_>);
    list_next(application: Name<'_>);
    list_not_yours();
    account_after_digime(service: Name<'_>);
    account_dead_end(application: Name<'_>);
    digime_ended();
    digime_dead_end(application: Name<'_>);
    done_title();
    done_service(service: Name<'_>);
    done_digime();

    // Nothing can be renewed from the page, or nothing is left.
    dead_end_title(application: Name<'_>);
    dead_end_text(application: Name<'_>);
    dead_end_account(service: Name<'_>);
    dead_end_next(application: Name<'_>);
    all_set_title();
    nothing_to_do();

    // Links that do not work.
    expired_title();
    unknown_title();
    unknown_text(application: Name<'_>);
    refused_title();
    start_again_text(application: Name<'_>);

    // Not now, and no longer used.
    postpone_question(service: Name<'_>);
    postpone_question_all();
    postpone_text(days: u32);
    dismiss_question(service: Name<'_>);
    dismiss_text(service: Name<'_>, application: Name<'_>);
    choose_other();
    postponed_title();
    postponed_text(application: Name<'_>, date: &Text);

    // How a reauthorization ended.
    connected_title(service: Name<'_>);
    connected_text(application: Name<'_>);
    not_connected_title(service: Name<'_>);
    not_renewed_title(service: Name<'_>);
    works_until(date: &Text);
    still_works();
    almost_done_title();
    almost_done_text(application: Name<'_>);
    digime_again();
    one_step_left();
    rest_left();
    cancelled();
    cancelled_at(service: Name<'_>);
    invalid_code();
    onboard_error(service: Name<'_>);
    not_authorized(service: Name<'_>);
    account_not_found();
    wrong_account(service: Name<'_>);
    use_account(username: Name<'_>);
    wrong_user();
    server_error();
    try_again_at(application: Name<'_>);
    connect_again_at(application: Name<'_>);
    reference(code: &str);

    // Errors.
    error_title();
    error_text();
    error_back(application: Name<'_>);
    try_again_in(time: &Text);
    too_many_title();
    too_many_text(time: &Text);
}
