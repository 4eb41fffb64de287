### Names, dates, lists and waiting times.
### A service or an application without a known name is the number 0.

service =
    { $service ->
        [0] deze dienst
       *[other] { $service }
    }
service_start =
    { $service ->
        [0] Deze dienst
       *[other] { $service }
    }
application =
    { $application ->
        [0] de toepassing
       *[other] { $application }
    }
application_start =
    { $application ->
        [0] De toepassing
       *[other] { $application }
    }

calendar_date = { $day } { month } { $year }
month =
    { $month ->
        [1] januari
        [2] februari
        [3] maart
        [4] april
        [5] mei
        [6] juni
        [7] juli
        [8] augustus
        [9] september
        [10] oktober
        [11] november
       *[12] december
    }

list_of_two = { $first } en { $second }
list_beginning = { $list }, { $next }
list_end = { $list } en { $last }

seconds =
    { $count ->
        [one] { $count } seconde
       *[other] { $count } seconden
    }
minutes =
    { $count ->
        [one] { $count } minuut
       *[other] { $count } minuten
    }
