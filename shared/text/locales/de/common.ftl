### Names, dates, lists and waiting times.
### A service or an application without a known name is the number 0.

service_dative =
    { $service ->
        [0] diesem Dienst
       *[other] { $service }
    }
service_accusative =
    { $service ->
        [0] diesen Dienst
       *[other] { $service }
    }
service_accusative_start =
    { $service ->
        [0] Diesen Dienst
       *[other] { $service }
    }
service_start =
    { $service ->
        [0] Dieser Dienst
       *[other] { $service }
    }
application =
    { $application ->
        [0] die Anwendung
       *[other] { $application }
    }
application_dative =
    { $application ->
        [0] der Anwendung
       *[other] { $application }
    }
application_start =
    { $application ->
        [0] Die Anwendung
       *[other] { $application }
    }

calendar_date = { $day }. { month } { $year }
month =
    { $month ->
        [1] Januar
        [2] Februar
        [3] März
        [4] April
        [5] Mai
        [6] Juni
        [7] Juli
        [8] August
        [9] September
        [10] Oktober
        [11] November
       *[12] Dezember
    }

list_of_two = { $first } und { $second }
list_beginning = { $list }, { $next }
list_end = { $list } und { $last }

seconds =
    { $count ->
        [one] { $count } Sekunde
       *[other] { $count } Sekunden
    }
minutes =
    { $count ->
        [one] { $count } Minute
       *[other] { $count } Minuten
    }
