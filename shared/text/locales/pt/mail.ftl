### The texts of the mails, and of the page that stops them. Their readers did not ask for the mail: it says who writes, and why.

mail_greeting =
    { $name ->
        [0] Olá,
       *[other] Olá, { $name },
    }

## Subjects

mail_subject_ended = A sua ligação a { service } terminou
mail_subject_ended_more =
    { $count ->
        [one] As suas ligações a { service } e a mais { $count } serviço terminaram
       *[other] As suas ligações a { service } e a mais { $count } serviços terminaram
    }
mail_subject_ends = A sua ligação a { service } termina em breve
mail_subject_ends_more =
    { $count ->
        [one] As suas ligações a { service } e a mais { $count } serviço terminam em breve
       *[other] As suas ligações a { service } e a mais { $count } serviços terminam em breve
    }
mail_subject_connected = A ligação a { service } está novamente ativa
mail_subject_connected_more =
    { $count ->
        [one] As ligações a { service } e a mais { $count } serviço estão novamente ativas
       *[other] As ligações a { service } e a mais { $count } serviços estão novamente ativas
    }

## What to do

mail_ended = A sua ligação a { service } terminou a { $date }.
mail_ended_digime = A sua ligação a digi.me, o serviço que { application } usa para se ligar, terminou a { $date }.
mail_ends = A sua ligação a { service } termina a { $date }.
mail_reconnect =
    { $count ->
        [one] Restabeleça-a para que { application } possa continuar a usar os seus dados.
       *[other] Restabeleça-as para que { application } possa continuar a usar os seus dados.
    }
mail_renew =
    { $count ->
        [one] Renove-a antes dessa data para que { application } possa continuar a usar os seus dados. Se cancelar, nada muda.
       *[other] Renove-as antes dessa data para que { application } possa continuar a usar os seus dados. Se cancelar, nada muda.
    }
mail_connect_again = A sua ligação a digi.me, o serviço que { application } usa para se ligar, terminou. Abra { application } e restabeleça aí a ligação.
mail_page_button = Restabelecer as ligações
mail_page = Pode fazê-lo nesta página:
mail_open_application = Para isso, abra { application } e escolha «Restabelecer a ligação».
mail_no_link = Este e-mail não tem, de propósito, nenhuma hiperligação.
mail_no_password = Inicia sessão através de digi.me, o serviço que { application } usa para se ligar. Nunca pedimos a sua palavra-passe por e-mail.

## The end

mail_why = Recebe este e-mail porque { application } usa dados que partilha através de digi.me. Estes e-mails são apenas sobre as suas ligações.
mail_stop = Deixar de receber estes e-mails
mail_stop_without_link = Para deixar de receber estes e-mails, escolha «Anular subscrição» no seu programa de e-mail ou contacte { application }.

## The page that stops the mails

unsubscribe_title = Deixar de receber estes e-mails?
unsubscribe_text = Se os parar, deixa de receber e-mails sobre as suas ligações. Se uma delas terminar, { application } não recebe novos dados dela até que a restabeleça.
unsubscribe_button = Parar os e-mails
unsubscribed_title = Já não recebe estes e-mails
unsubscribed_text = Nada mais foi alterado. Para voltar a recebê-los, contacte { application }.
