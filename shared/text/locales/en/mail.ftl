### The texts of the mails, and of the page that stops them. Their readers did not ask for the mail: it says who writes, and why.

mail_greeting =
    { $name ->
        [0] Hello,
       *[other] Hello { $name },
    }

## Subjects

mail_subject_ended = Your connection to { service } has ended
mail_subject_ended_more =
    { $count ->
        [one] Your connections to { service } and { $count } other service have ended
       *[other] Your connections to { service } and { $count } other services have ended
    }
mail_subject_ends = Your connection to { service } ends soon
mail_subject_ends_more =
    { $count ->
        [one] Your connections to { service } and { $count } other service end soon
       *[other] Your connections to { service } and { $count } other services end soon
    }
mail_subject_connected = { service_start } is connected again
mail_subject_connected_more =
    { $count ->
        [one] { service_start } and { $count } other service are connected again
       *[other] { service_start } and { $count } other services are connected again
    }

## What to do

mail_ended = Your connection to { service } ended on { $date }.
mail_ended_digime = Your connection to digi.me, the service that { application } uses to connect, ended on { $date }.
mail_ends = Your connection to { service } ends on { $date }.
mail_reconnect =
    { $count ->
        [one] Reconnect it so that { application } can keep using your data.
       *[other] Reconnect them so that { application } can keep using your data.
    }
mail_renew =
    { $count ->
        [one] Renew it before then so that { application } can keep using your data. If you cancel, nothing changes.
       *[other] Renew them before then so that { application } can keep using your data. If you cancel, nothing changes.
    }
mail_connect_again = Your connection to digi.me, the service that { application } uses to connect, has ended. Open { application } and connect again from there.
mail_page_button = Reconnect
mail_page = You can do it on this page:
mail_open_application = To do so, open { application } and choose Reconnect.
mail_no_link = This email has no link on purpose.
mail_no_password = You sign in through digi.me, the service that { application } uses to connect. We never ask for your password in an email.

## The end

mail_why = You get this email because { application } uses data that you share with it through digi.me. These emails are only about your connections.
mail_stop = Stop these emails
mail_stop_without_link = To stop these emails, choose Unsubscribe in your email program, or tell { application }.

## The page that stops the mails

unsubscribe_title = Stop these emails?
unsubscribe_text = If you stop them, you get no more emails about your connections. When one of them ends, { application } gets no new data from it until you reconnect it.
unsubscribe_button = Stop the emails
unsubscribed_title = You get no more of these emails
unsubscribed_text = Nothing else was changed. To get them again, tell { application }.
