### Names, dates, lists and waiting times.
### A service or an application without a known name is the number 0.

service =
    { $service ->
        [0] este serviço
       *[other] { $service }
    }
service_start =
    { $service ->
        [0] Este serviço
       *[other] { $service }
    }
service_at =
    { $service ->
        [0] neste serviço
       *[other] em { $service }
    }
application =
    { $application ->
        [0] a aplicação
       *[other] { $application }
    }
application_to =
    { $application ->
        [0] à aplicação
       *[other] a { $application }
    }
application_start =
    { $application ->
        [0] A aplicação
       *[other] { $application }
    }

calendar_date = { $day } de { month } de { $year }
month =
    { $month ->
        [1] janeiro
        [2] fevereiro
        [3] março
        [4] abril
        [5] maio
        [6] junho
        [7] julho
        [8] agosto
        [9] setembro
        [10] outubro
        [11] novembro
       *[12] dezembro
    }

list_of_two = { $first } e { $second }
list_beginning = { $list }, { $next }
list_end = { $list } e { $last }

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
