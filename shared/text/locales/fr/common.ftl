### Names, dates, lists and waiting times.
### A service or an application without a known name is the number 0.

service =
    { $service ->
        [0] ce service
       *[other] { $service }
    }
service_start =
    { $service ->
        [0] Ce service
       *[other] { $service }
    }
service_at =
    { $service ->
        [0] auprès de ce service
       *[other] chez { $service }
    }
application =
    { $application ->
        [0] l’application
       *[other] { $application }
    }
application_start =
    { $application ->
        [0] L’application
       *[other] { $application }
    }

calendar_date = { day } { month } { $year }
day =
    { $day ->
        [1] 1er
       *[other] { $day }
    }
month =
    { $month ->
        [1] janvier
        [2] février
        [3] mars
        [4] avril
        [5] mai
        [6] juin
        [7] juillet
        [8] août
        [9] septembre
        [10] octobre
        [11] novembre
       *[12] décembre
    }

list_of_two = { $first } et { $second }
list_beginning = { $list }, { $next }
list_end = { $list } et { $last }

seconds =
    { $count ->
        [one] { $count } seconde
       *[other] { $count } secondes
    }
minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
