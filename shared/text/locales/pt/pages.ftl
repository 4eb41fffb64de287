### The texts of the pages. Readers are customers of a bank or patients of a hospital, on a phone.

## The frame of every page

support_link = Pedir ajuda { application_to }
back_button = Voltar { application_to }
back_text = Pode fechar esta página e voltar { application_to }.
try_again_button = Tentar novamente

## One account

reconnect_title = Restabeleça a ligação a { service }
reconnect_text = A sua ligação a { service } terminou. Restabeleça-a para que { application } possa continuar a usar os seus dados.
renew_title = Renove a ligação a { service }
renew_text = A sua ligação a { service } termina a { $date }. Renove-a agora para que { application } possa continuar a usar os seus dados.
renew_safe = Até lá, funciona. Se cancelar, nada muda.
checking_title = A verificar a ligação a { service }
checking_text = Estamos a verificar a sua ligação. Não precisa de fazer nada.
dismissed_title = Já não usa { service }
dismissed_text = Indicou-nos que já não usa { service }. Não receberá mais lembretes sobre esta ligação. Ainda a pode restabelecer.
label_account = Conta
label_ended = Terminou a
label_works_until = Funciona até
not_yours = Não é a sua conta? Feche esta página; nada muda.

## What happens next

next_title = O que acontece a seguir
next_digime = Vai para digi.me, o serviço que { application } usa para estabelecer a ligação.
next_service = Inicia sessão { service_at }. Nunca vemos a sua palavra-passe.
next_digime_sign_in = Inicia sessão em digi.me. Nunca vemos a sua palavra-passe.
next_back = Volta aqui e verificamos se a ligação funciona.

## Buttons

reconnect_button = Restabelecer a ligação a { service }
reconnect_again_button = Restabelecer novamente
renew_button = Renovar a ligação a { service }
digime_button = Restabelecer a ligação a digi.me
postpone_button = Agora não
dismiss_button = Já não uso

## The connection to digi.me

digime_title = Restabeleça a ligação a digi.me
digime_text = A sua ligação a digi.me, o serviço que { application } usa para aceder aos seus dados, terminou. Renove-a para que { application } os possa continuar a usar.
digime_ends_text = A sua ligação a digi.me, o serviço que { application } usa para aceder aos seus dados, termina a { $date }. Renove-a para que { application } os possa continuar a usar.

## Several accounts

list_title = Restabeleça as suas ligações
list_title_renew = Renove as suas ligações
list_title_checking = A verificar as suas contas
list_title_accounts = As suas contas
list_text = Restabeleça as ligações que terminaram para que { application } possa continuar a usar os seus dados.
list_text_renew = Estas ligações terminam em breve. Renove cada uma delas para que { application } possa continuar a usar os seus dados.
list_next = Cada botão conduz a digi.me, o serviço que { application } usa para estabelecer a ligação. Aí inicia sessão no respetivo serviço e depois volta aqui. Nunca vemos a sua palavra-passe.
list_not_yours = Não são as suas contas? Feche esta página; nada muda.
account_after_digime = Primeiro inicia sessão em digi.me e depois { service_at }.
account_dead_end = Não é possível restabelecer a ligação a partir desta página. Volte { application_to } e estabeleça uma nova ligação a partir daí.
digime_ended = A sua ligação a digi.me terminou.
digime_dead_end = Não é possível renová-la a partir desta página. Volte { application_to } e estabeleça uma nova ligação a partir daí.
done_title = Concluído
done_service = A ligação a { service } está ativa.
done_digime = A ligação a digi.me está ativa.

## Nothing can be renewed from the page, or nothing is left

dead_end_title = Volte { application_to } para estabelecer uma nova ligação
dead_end_text = A sua ligação a digi.me, o serviço que { application } usa para aceder aos seus dados, terminou. Não é possível renová-la a partir desta página.
dead_end_account = Sem ela, não é possível restabelecer a ligação a { service }.
dead_end_next = Volte { application_to } e estabeleça uma nova ligação a partir daí. Nada foi alterado.
all_set_title = Está tudo em ordem
nothing_to_do = Não precisa de fazer nada.

## Links that do not work

expired_title = Este link expirou
unknown_title = Este link não funciona
unknown_text = Nada foi alterado. Verifique se abriu o link completo, ou volte { application_to } e restabeleça a ligação a partir daí.
refused_title = Esta página já não pode ser usada
start_again_text = Nada foi alterado. Para restabelecer a ligação, volte { application_to } e comece de novo a partir daí.

## Not now, and no longer used

postpone_question = Restabelecer a ligação a { service } mais tarde?
postpone_question_all = Restabelecer as suas ligações mais tarde?
postpone_text =
    { $days ->
        [one] Não receberá lembretes durante um dia. Pode restabelecer a ligação a qualquer momento.
       *[other] Não receberá lembretes durante { $days } dias. Pode restabelecer a ligação a qualquer momento.
    }
dismiss_question = Já não usa { service }?
dismiss_text = Não receberá mais lembretes sobre { service }, e { application } não receberá novos dados desta ligação. Pode restabelecê-la mais tarde.
choose_other = Restabelecer agora
postponed_title = Sem lembretes por agora
postponed_text = Não receberá lembretes antes de { $date }. Até restabelecer a ligação, { application } não receberá novos dados.

## How a reauthorization ended

connected_title = A ligação a { service } está ativa
connected_text = { application_start } pode continuar a usar os seus dados. Não precisa de fazer mais nada.
not_connected_title = A ligação a { service } não foi restabelecida
not_renewed_title = A ligação a { service } não foi renovada
works_until = A sua ligação funciona até { $date }.
still_works = A sua ligação continua a funcionar.
almost_done_title = Quase concluído
almost_done_text = Abra novamente o link que recebeu, ou volte { application_to }.
digime_again = A ligação a digi.me foi restabelecida.
one_step_left = Falta um passo.
rest_left = Agora restabeleça as restantes ligações.
cancelled = Cancelou. Nada foi alterado.
cancelled_at = Cancelou { service_at }.
invalid_code = A página esteve aberta demasiado tempo ou foi aberta duas vezes. Nada foi alterado. Tente novamente sem pausas.
onboard_error = { service_start } não aceitou o início de sessão. Verifique se consegue iniciar sessão diretamente { service_at } e tente novamente.
not_authorized = A ligação ainda não está concluída. Tente novamente e confirme todos os passos { service_at }.
account_not_found = digi.me já não tem esta conta.
wrong_account = Usou outra conta { service_at }.
use_account = Use a que é mostrada como { $username }.
wrong_user = Iniciou sessão em digi.me como outra pessoa. Nada foi alterado. Inicie sessão como a pessoa que criou a ligação.
server_error = Ocorreu um erro do nosso lado. Não fez nada de errado. Tente novamente dentro de alguns minutos.
try_again_at = Para tentar novamente, volte { application_to }.
connect_again_at = Volte { application_to } e estabeleça uma nova ligação a partir daí.
reference = Referência para o apoio: { $code }

## Errors

error_title = Ocorreu um erro do nosso lado
error_text = Não fez nada de errado.
error_back = Volte { application_to } e restabeleça a ligação a partir daí.
try_again_in = Tente novamente dentro de { $time }.
too_many_title = Demasiadas tentativas
too_many_text = Nada foi alterado. Tente novamente dentro de { $time }.
