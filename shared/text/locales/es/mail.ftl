### The texts of the mails, and of the page that stops them. Their readers did not ask for the mail: it says who writes, and why.

mail_greeting =
    { $name ->
        [0] Hola:
       *[other] Hola, { $name }:
    }

## Subjects

mail_subject_ended = Su conexión con { service } ha terminado
mail_subject_ended_more =
    { $count ->
        [one] Sus conexiones con { service } y { $count } servicio más han terminado
       *[other] Sus conexiones con { service } y { $count } servicios más han terminado
    }
mail_subject_ends = Su conexión con { service } termina pronto
mail_subject_ends_more =
    { $count ->
        [one] Sus conexiones con { service } y { $count } servicio más terminan pronto
       *[other] Sus conexiones con { service } y { $count } servicios más terminan pronto
    }
mail_subject_connected = La conexión con { service } funciona de nuevo
mail_subject_connected_more =
    { $count ->
        [one] Las conexiones con { service } y { $count } servicio más funcionan de nuevo
       *[other] Las conexiones con { service } y { $count } servicios más funcionan de nuevo
    }

## What to do

mail_ended = Su conexión con { service } terminó el { $date }.
mail_ended_digime = Su conexión con digi.me, el servicio que usa { application } para conectarse, terminó el { $date }.
mail_ends = Su conexión con { service } termina el { $date }.
mail_reconnect =
    { $count ->
        [one] Vuelva a conectarla para que { application } pueda seguir usando sus datos.
       *[other] Vuelva a conectarlas para que { application } pueda seguir usando sus datos.
    }
mail_renew =
    { $count ->
        [one] Renuévela antes para que { application } pueda seguir usando sus datos. Si cancela, nada cambia.
       *[other] Renuévelas antes para que { application } pueda seguir usando sus datos. Si cancela, nada cambia.
    }
mail_connect_again = Su conexión con digi.me, el servicio que usa { application } para conectarse, ha terminado. Abra { application } y vuelva a conectarse desde allí.
mail_page_button = Volver a conectar
mail_page = Puede hacerlo en esta página:
mail_open_application = Para ello, abra { application } y elija «Volver a conectar».
mail_no_link = Este correo no lleva ningún enlace a propósito.
mail_no_password = Iniciará sesión a través de digi.me, el servicio que usa { application } para conectarse. Nunca pedimos su contraseña por correo.

## The end

mail_why = Recibe este correo porque { application } usa datos que usted comparte a través de digi.me. Estos correos tratan solo de sus conexiones.
mail_stop = No recibir más estos correos
mail_stop_without_link = Para no recibir más estos correos, elija «Cancelar suscripción» en su programa de correo o avise a { application }.

## The page that stops the mails

unsubscribe_title = ¿No recibir más estos correos?
unsubscribe_text = Si los detiene, no recibirá más correos sobre sus conexiones. Si una de ellas termina, { application } no recibirá datos nuevos de ella hasta que vuelva a conectarla.
unsubscribe_button = Detener los correos
unsubscribed_title = Ya no recibirá estos correos
unsubscribed_text = No se ha cambiado nada más. Para recibirlos de nuevo, avise a { application }.
