{{/*
config.yaml: what the values say, with credentials for the accounts that have none. In the demo every account asks the
simulator; its key is public.
*/}}
{{- define "aliyun-vod-exporter.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $credentials := dict -}}
{{- if .Values.demo.enabled -}}
{{- $credentials = dict "access_key_id" "simulator" "access_key_secret" "simulator-secret" -}}
{{- else if include "aliyun-vod-exporter.credentialsSecret" . -}}
{{- $folder := "/run/secrets/aliyun-vod-exporter/" -}}
{{- $keys := .Values.credentials.keys -}}
{{- $credentials = dict "access_key_id_file" (print $folder $keys.accessKeyId) "access_key_secret_file" (print $folder $keys.accessKeySecret) -}}
{{- with $keys.securityToken -}}
{{- $_ := set $credentials "security_token_file" (print $folder .) -}}
{{- end -}}
{{- else if .Values.rrsa.roleName -}}
{{- $credentials = dict "provider" "oidc_role_arn" -}}
{{- end -}}
{{- if $credentials -}}
{{- $accounts := default (list (dict "name" (ternary "demo" "default" .Values.demo.enabled))) $config.accounts -}}
{{- if kindIs "map" $accounts -}}
{{- $accounts = list $accounts -}}
{{- end -}}
{{- range $account := $accounts -}}
{{- if or $.Values.demo.enabled (not (hasKey $account "credentials")) -}}
{{- $_ := set $account "credentials" $credentials -}}
{{- end -}}
{{- if $.Values.demo.enabled -}}
{{- $_ := set $account "endpoint" "http://127.0.0.1:9986" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "accounts" $accounts -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* What cannot be meant, said before anything is installed. */}}
{{- define "aliyun-vod-exporter.checked" -}}
{{- $key := .Values.credentials -}}
{{- if and $key.existingSecret (or $key.accessKeyId $key.accessKeySecret) -}}
{{- fail "credentials: give either existingSecret, or accessKeyId and accessKeySecret" -}}
{{- end -}}
{{- if ne (empty $key.accessKeyId) (empty $key.accessKeySecret) -}}
{{- fail "credentials: accessKeyId and accessKeySecret belong together; one of them is empty" -}}
{{- end -}}
{{- if and .Values.rrsa.roleName (include "aliyun-vod-exporter.credentialsSecret" .) -}}
{{- fail "rrsa.roleName stands in place of an AccessKey: leave credentials empty" -}}
{{- end -}}
{{- if and .Values.rrsa.roleName (not .Values.serviceAccount.create) -}}
{{- fail "rrsa.roleName is written on the chart's service account: leave serviceAccount.create at true" -}}
{{- end -}}
{{- if and .Values.demo.enabled .Values.existingConfigMap -}}
{{- fail "demo.enabled: the chart cannot put the simulator's address into existingConfigMap; use config" -}}
{{- end -}}
{{- $accounts := default list .Values.config.accounts -}}
{{- range $account := ternary (list $accounts) $accounts (kindIs "map" $accounts) -}}
{{- range $setting, $value := default dict $account.credentials -}}
{{- if and (has $setting (list "access_key_secret" "security_token")) (not (contains "${" (toString $value))) -}}
{{- fail (printf "config: %s of account %v would be in a ConfigMap; use credentials, %s_file or ${NAME} with extraEnv" $setting $account.name $setting) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.webConfig.config .Values.webConfig.existingSecret -}}
{{- fail "webConfig: give either config or existingSecret" -}}
{{- end -}}
{{- include "aliyun-vod-exporter.checkedTLS" . -}}
{{- include "aliyun-vod-exporter.checkedLabels" . -}}
{{- if and .Values.storage.existingClaim (not (include "aliyun-vod-exporter.storage" .)) -}}
{{- fail "storage.existingClaim is not used without a volume; set storage.enabled to true" -}}
{{- end -}}
{{- if and (eq (include "aliyun-vod-exporter.kind" .) "Deployment") (eq (default "Recreate" (.Values.updateStrategy).type) "RollingUpdate") (ne (toString (dig "rollingUpdate" "maxSurge" "25%" (default dict .Values.updateStrategy))) "0") -}}
{{- fail "updateStrategy: with RollingUpdate two exporters make every call twice for a while; add rollingUpdate: {maxSurge: 0, maxUnavailable: 1}, or leave Recreate" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.basicAuth .Values.serviceMonitor.authorization -}}
{{- fail "serviceMonitor: give either basicAuth or authorization" -}}
{{- end -}}
{{- if and .Values.storage.existingClaim (gt (int .Values.shards) 1) -}}
{{- fail "shards: each needs a claim of its own; leave storage.existingClaim empty" -}}
{{- end -}}
{{- end -}}
