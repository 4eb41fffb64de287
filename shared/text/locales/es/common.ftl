### Names, dates, lists and waiting times.
### A service or an application without a known name is the number 0.

service =
    { $service ->
        [0] este servicio
       *[other] { $service }
    }
service_start =
    { $service ->
        [0] Este servicio
       *[other] { $service }
    }
application =
    { $application ->
        [0] la aplicación
       *[other] { $application }
    }
application_start =
    { $application ->
        [0] La aplicación
       *[other] { $application }
    }

calendar_date = { $day } de { month } de { $year }
month =
    { $month ->
        [1] enero
        [2] febrero
        [3] marzo
        [4] abril
        [5] mayo
        [6] junio
        [7] julio
        [8] agosto
        [9] septiembre
        [10] octubre
        [11] noviembre
       *[12] diciembre
    }

list_of_two = { $first } { STARTS-WITH-I($second) ->
    [yes] e
   *[no] y
} { $second }
list_beginning = { $list }, { $next }
list_end = { $list } { STARTS-WITH-I($last) ->
    [yes] e
   *[no] y
} { $last }

seconds =
    { $count ->
        [one] { $count } segundo
       *[other] { $count } segundos
    }
minutes =
    { $count ->
        [one] { $count } minuto
       *[other] { $count } minutos
    }
