### The texts of the pages. Readers are customers of a bank or patients of a hospital, on a phone.

## The frame of every page

support_link = Pedir ayuda a { application }
back_button = Volver a { application }
back_text = Puede cerrar esta página y volver a { application }.
try_again_button = Intentar de nuevo

## One account

reconnect_title = Vuelva a conectar { service }
reconnect_text = Su conexión con { service } ha terminado. Vuelva a conectarla para que { application } pueda seguir usando sus datos.
renew_title = Renueve la conexión con { service }
renew_text = Su conexión con { service } termina el { $date }. Renuévela ahora para que { application } pueda seguir usando sus datos.
renew_safe = Funciona hasta entonces. Si cancela, nada cambia.
checking_title = Comprobando { service }
checking_text = Estamos comprobando su conexión. No tiene que hacer nada.
dismissed_title = Ya no usa { service }
dismissed_text = Nos ha indicado que ya no usa { service }. No recibirá más recordatorios al respecto. Todavía puede volver a conectarse.
label_account = Cuenta
label_ended = Terminó el
label_works_until = Funciona hasta el
not_yours = ¿No es su cuenta? Cierre esta página; nada cambia.

## What happens next

next_title = Qué ocurre a continuación
next_digime = Irá a digi.me, el servicio que usa { application } para conectarse.
next_service = Iniciará sesión en { service }. Nosotros nunca vemos su contraseña.
next_digime_sign_in = Iniciará sesión en digi.me. Nosotros nunca vemos su contraseña.
next_back = Volverá aquí y comprobaremos que la conexión funciona.

## Buttons

reconnect_button = Volver a conectar { service }
reconnect_again_button = Conectar de nuevo
renew_button = Renovar la conexión con { service }
digime_button = Volver a conectar con digi.me
postpone_button = Ahora no
dismiss_button = Ya no lo uso

## The connection to digi.me

digime_title = Vuelva a conectar con digi.me
digime_text = Su conexión con digi.me, el servicio que usa { application } para conectarse, ha terminado. Renuévela para que { application } pueda seguir usando sus datos.
digime_ends_text = Su conexión con digi.me, el servicio que usa { application } para conectarse, termina el { $date }. Renuévela para que { application } pueda seguir usando sus datos.

## Several accounts

list_title = Vuelva a conectar sus cuentas
list_title_renew = Renueve sus conexiones
list_title_checking = Comprobando sus cuentas
list_title_accounts = Sus cuentas
list_text = Restablezca las conexiones que han terminado para que { application } pueda seguir usando sus datos.
list_text_renew = Estas conexiones terminan pronto. Renueve cada una de ellas para que { application } pueda seguir usando sus datos.
list_next = Cada botón le lleva a digi.me, el servicio que usa { application } para conectarse. Allí iniciará sesión en el servicio correspondiente y después volverá aquí. Nosotros nunca vemos su contraseña.
list_not_yours = ¿No son sus cuentas? Cierre esta página; nada cambia.
account_after_digime = Primero iniciará sesión en digi.me y después en { service }.
account_dead_end = No se puede volver a conectar desde esta página. Vuelva a { application } y conecte la cuenta de nuevo desde allí.
digime_ended = Su conexión con digi.me ha terminado.
digime_dead_end = No se puede renovar desde esta página. Vuelva a { application } y conéctese de nuevo desde allí.
done_title = Hecho
done_service = La conexión con { service } funciona.
done_digime = Ya tiene conexión con digi.me.

## Nothing can be renewed from the page, or nothing is left

dead_end_title = Conéctese de nuevo desde { application }
dead_end_text = Su conexión con digi.me, el servicio que usa { application } para conectarse, ha terminado. No se puede renovar desde esta página.
dead_end_account = Sin ella no se puede volver a conectar { service }.
dead_end_next = Vuelva a { application } y conéctese de nuevo desde allí. No se ha cambiado nada.
all_set_title = Todo listo
nothing_to_do = No tiene que hacer nada.

## Links that do not work

expired_title = Este enlace ha caducado
unknown_title = Este enlace no funciona
unknown_text = No se ha cambiado nada. Compruebe que ha abierto el enlace completo, o vuelva a { application } y conéctese de nuevo desde allí.
refused_title = Esta página ya no se puede usar
start_again_text = No se ha cambiado nada. Para volver a conectarse, vuelva a { application } y empiece de nuevo desde allí.

## Not now, and no longer used

postpone_question = ¿Volver a conectar { service } más tarde?
postpone_question_all = ¿Volver a conectar sus cuentas más tarde?
postpone_text =
    { $days ->
        [one] No recibirá recordatorios durante un día. Puede volver a conectarse en cualquier momento.
       *[other] No recibirá recordatorios durante { $days } días. Puede volver a conectarse en cualquier momento.
    }
dismiss_question = ¿Ya no usa { service }?
dismiss_text = No recibirá más recordatorios sobre { service }, y { application } no recibirá datos nuevos de esa conexión. Puede volver a conectarse más adelante.
choose_other = Volver a conectar ahora
postponed_title = Sin recordatorios por ahora
postponed_text = No recibirá recordatorios antes del { $date }. Hasta que vuelva a conectarse, { application } no recibirá datos nuevos.

## How a reauthorization ended

connected_title = La conexión con { service } funciona
connected_text = { application_start } puede seguir usando sus datos. No tiene que hacer nada más.
not_connected_title = No se ha podido conectar { service }
not_renewed_title = No se ha renovado la conexión con { service }
works_until = Su conexión funciona hasta el { $date }.
still_works = Su conexión sigue funcionando.
almost_done_title = Casi ha terminado
almost_done_text = Abra de nuevo el enlace que recibió, o vuelva a { application }.
digime_again = Vuelve a tener conexión con digi.me.
one_step_left = Queda un paso.
rest_left = Ahora vuelva a conectar las demás.
cancelled = Ha cancelado. No se ha cambiado nada.
cancelled_at = Ha cancelado en { service }.
invalid_code = La página estuvo abierta demasiado tiempo o se abrió dos veces. No se ha cambiado nada. Inténtelo de nuevo sin pausas.
onboard_error = { service_start } no ha aceptado el inicio de sesión. Compruebe que puede iniciar sesión directamente en { service } e inténtelo de nuevo.
not_authorized = La conexión aún no está completa. Inténtelo de nuevo y confirme cada paso en { service }.
account_not_found = digi.me ya no tiene esta cuenta.
wrong_account = Ha usado otra cuenta en { service }.
use_account = Use la que se muestra como { $username }.
wrong_user = Ha iniciado sesión en digi.me como otra persona. No se ha cambiado nada. Inicie sesión como la persona que estableció la conexión.
server_error = Se ha producido un error por nuestra parte. Usted no ha hecho nada mal. Inténtelo de nuevo en unos minutos.
try_again_at = Para intentarlo de nuevo, vuelva a { application }.
connect_again_at = Vuelva a { application } y conecte la cuenta de nuevo desde allí.
reference = Referencia para el servicio de ayuda: { $code }

## Errors

error_title = Se ha producido un error por nuestra parte
error_text = Usted no ha hecho nada mal.
error_back = Vuelva a { application } y conéctese de nuevo desde allí.
try_again_in = Inténtelo de nuevo en { $time }.
too_many_title = Demasiados intentos
too_many_text = No se ha cambiado nada. Inténtelo de nuevo en { $time }.
