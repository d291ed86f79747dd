#!/bin/sh
# Certificates for servers of a spec on loopback, made with openssl in the folder $1:
#
#   ca, stranger         two authorities, who know nothing of each other
#   server, client       by ca; the server's is made out to localhost, 127.0.0.1 and ::1
#   expired              the server's, out of date
#   alien                a client's by stranger
#   locked-key           the client's key, encrypted with "open sesame"
#
# NAME.pem and NAME-key.pem each; server-both.pem holds the two, as ZooKeeper reads them.
set -eu
cd "$1"
{
  for name in ca stranger; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" \
      -keyout $name-key.pem -out $name.pem
  done
  echo "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" >names
  while read -r name authority days; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout $name-key.pem -out request
    openssl x509 -req -in request -CA $authority.pem -CAkey $authority-key.pem -CAcreateserial -days "$days" \
      -extfile names -out $name.pem
  done <<END
server ca 2
client ca 2
expired ca -1
alien stranger 2
END
  openssl pkcs8 -topk8 -in client-key.pem -passout "pass:open sesame" -out locked-key.pem
  cat server-key.pem server.pem >server-both.pem
} >log 2>&1 || { cat log >&2; exit 1; }
