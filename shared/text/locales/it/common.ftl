### Names, dates, lists and waiting times.
### A service or an application without a known name is the number 0.

service =
    { $service ->
        [0] questo servizio
       *[other] { $service }
    }
service_start =
    { $service ->
        [0] Questo servizio
       *[other] { $service }
    }
application =
    { $application ->
        [0] l’applicazione
       *[other] { $application }
    }
application_to =
    { $application ->
        [0] all’applicazione
       *[other] a { $application }
    }
application_from =
    { $application ->
        [0] dall’applicazione
       *[other] da { $application }
    }
application_start =
    { $application ->
        [0] L’applicazione
       *[other] { $application }
    }

calendar_date = { day } { month } { $year }
day =
    { $day ->
        [1] 1º
       *[other] { $day }
    }
month =
    { $month ->
        [1] gennaio
        [2] febbraio
        [3] marzo
        [4] aprile
        [5] maggio
        [6] giugno
        [7] luglio
        [8] agosto
        [9] settembre
        [10] ottobre
        [11] novembre
       *[12] dicembre
    }

list_of_two = { $first } e { $second }
list_beginning = { $list }, { $next }
list_end = { $list } e { $last }

seconds =
    { $count ->
        [one] { $count } secondo
       *[other] { $count } secondi
    }
minutes =
    { $count ->
        [one] { $count } minuto
       *[other] { $count } minuti
    }
