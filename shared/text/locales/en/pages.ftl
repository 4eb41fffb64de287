### The texts of the pages. Readers are customers of a bank or patients of a hospital, on a phone.

## The frame of every page

support_link = Get help from { application }
back_button = Back to { application }
back_text = You can close this page and go back to { application }.
try_again_button = Try again

## One account

reconnect_title = Reconnect { service }
reconnect_text = Your connection to { service } has ended. Reconnect it so that { application } can keep using your data.
renew_title = Renew the connection to { service }
renew_text = Your connection to { service } ends on { $date }. Renew it now so that { application } can keep using your data.
renew_safe = It works until then. If you cancel, nothing changes.
checking_title = Checking { service }
checking_text = We are checking your connection. You do not need to do anything.
dismissed_title = You no longer use { service }
dismissed_text = You told us that you no longer use { service }. You get no more reminders about it. You can still reconnect it.
label_account = Account
label_ended = Ended on
label_works_until = Works until
not_yours = Not yours? Close this page; nothing changes.

## What happens next

next_title = What happens next
next_digime = You go to digi.me, the service that { application } uses to connect.
next_service = You sign in at { service }. We never see your password.
next_digime_sign_in = You sign in to digi.me. We never see your password.
next_back = You come back, and we check that the connection works.

## Buttons

reconnect_button = Reconnect { service }
reconnect_again_button = Reconnect again
renew_button = Renew the connection to { service }
digime_button = Reconnect to digi.me
postpone_button = Not now
dismiss_button = I no longer use this

## The connection to digi.me

digime_title = Reconnect to digi.me
digime_text = Your connection to digi.me, the service that { application } uses to connect, has ended. Renew it so that { application } can keep using your data.
digime_ends_text = Your connection to digi.me, the service that { application } uses to connect, ends on { $date }. Renew it so that { application } can keep using your data.

## Several accounts

list_title = Reconnect your accounts
list_title_renew = Renew your accounts
list_title_checking = Checking your accounts
list_title_accounts = Your accounts
list_text = Reconnect what has ended so that { application } can keep using your data.
list_text_renew = These connections end soon. Renew each of them so that { application } can keep using your data.
list_next = Each button takes you to digi.me, the service that { application } uses to connect. You sign in with the service there, then come back. We never see your password.
list_not_yours = Not your accounts? Close this page; nothing changes.
account_after_digime = You sign in to digi.me first, then at { service }.
account_dead_end = It cannot be reconnected from this page. Go back to { application } and connect it again from there.
digime_ended = Your connection to digi.me has ended.
digime_dead_end = It cannot be renewed from this page. Go back to { application } and connect again from there.
done_title = Done
done_service = { service_start } is connected.
done_digime = You are connected to digi.me.

## Nothing can be renewed from the page, or nothing is left

dead_end_title = Connect again from { application }
dead_end_text = Your connection to digi.me, the service that { application } uses to connect, has ended. It cannot be renewed from this page.
dead_end_account = { service_start } cannot be reconnected without it.
dead_end_next = Go back to { application } and connect again from there. Nothing was changed.
all_set_title = All set
nothing_to_do = You do not need to do anything.

## Links that do not work

expired_title = This link has expired
unknown_title = This link does not work
unknown_text = Nothing was changed. Check that you opened the whole link, or go back to { application } and reconnect from there.
refused_title = This page can no longer be used
start_again_text = Nothing was changed. To reconnect, go back to { application } and start again from there.

## Not now, and no longer used

postpone_question = Reconnect { service } later?
postpone_question_all = Reconnect your accounts later?
postpone_text =
    { $days ->
        [one] You get no reminder for one day. You can still reconnect at any time.
       *[other] You get no reminder for { $days } days. You can still reconnect at any time.
    }
dismiss_question = Do you no longer use { service }?
dismiss_text = You get no more reminders about { service }, and { application } gets no new data from it. You can reconnect it later.
choose_other = Reconnect now instead
postponed_title = No reminder for now
postponed_text = You get no reminder before { $date }. Until you reconnect, { application } gets no new data.

## How a reauthorization ended

connected_title = { service_start } is connected
connected_text = { application_start } can keep using your data. You do not need to do anything else.
not_connected_title = { service_start } is not connected
not_renewed_title = The connection to { service } was not renewed
works_until = Your connection works until { $date }.
still_works = Your connection still works.
almost_done_title = Almost done
almost_done_text = Open the link that you received once more, or go back to { application }.
digime_again = You are connected to digi.me again.
one_step_left = One step is left.
rest_left = Now reconnect the rest.
cancelled = You cancelled. Nothing was changed.
cancelled_at = You cancelled at { service }.
invalid_code = The page was open for too long, or was opened twice. Nothing was changed. Try again without a pause.
onboard_error = { service_start } did not accept the sign-in. Check that you can sign in at { service } itself, then try again.
not_authorized = The connection is not finished yet. Try again, and confirm every step at { service }.
account_not_found = digi.me no longer has this account.
wrong_account = You used a different account at { service }.
use_account = Use the one shown as { $username }.
wrong_user = You signed in to digi.me as another person. Nothing was changed. Sign in as the person who connected before.
server_error = Something went wrong on our side. You did nothing wrong. Try again in a few minutes.
try_again_at = To try again, go back to { application }.
connect_again_at = Go back to { application } and connect the account again from there.
reference = Reference for support: { $code }

## Errors

error_title = Something went wrong on our side
error_text = You did nothing wrong.
error_back = Go back to { application } and reconnect from there.
try_again_in = Try again in { $time }.
too_many_title = Too many attempts
too_many_text = Nothing was changed. Try again in { $time }.
