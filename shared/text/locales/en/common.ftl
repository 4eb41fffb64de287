### Names, dates, lists and waiting times.
### A service or an application without a known name is the number 0.

service =
    { $service ->
        [0] this service
       *[other] { $service }
    }
service_start =
    { $service ->
        [0] This service
       *[other] { $service }
    }
application =
    { $application ->
        [0] the application
       *[other] { $application }
    }
application_start =
    { $application ->
        [0] The application
       *[other] { $application }
    }

calendar_date = { $day } { month } { $year }
month =
    { $month ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    }

list_of_two = { $first } and { $second }
list_beginning = { $list }, { $next }
list_end = { $list } and { $last }

seconds =
    { $count ->
        [one] { $count } second
       *[other] { $count } seconds
    }
minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
