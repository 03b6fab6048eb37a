{{/* What cannot be meant of TLS, probes, labels and links: see aliyun-vod-exporter.checked. */}}

{{/* A pod that is well must not be killed because nobody can ask it. */}}
{{- define "aliyun-vod-exporter.checkedTLS" -}}
{{- $web := .Values.webConfig -}}
{{- $tls := (default dict $web.config).tls_server_config -}}
{{- if and $tls (ne $web.scheme "https") -}}
{{- fail "webConfig.config has tls_server_config: set webConfig.scheme to https, or probes speak HTTP to it and the pod is restarted for ever" -}}
{{- end -}}
{{- if and (eq $web.scheme "https") (not $tls) (not $web.existingSecret) -}}
{{- fail "webConfig.scheme is https, but nothing switches TLS on: give webConfig.config a tls_server_config, or name an existingSecret" -}}
{{- end -}}
{{- range $kind := list "startupProbe" "livenessProbe" "readinessProbe" -}}
{{- with get $.Values $kind -}}
{{- $handlers := include "aliyun-vod-exporter.ownHandlers" . -}}
{{- if contains " " $handlers -}}
{{- fail (printf "%s: give one of %s, not both" $kind (replace " " ", " $handlers)) -}}
{{- end -}}
{{- if and (include "aliyun-vod-exporter.demandsCertificates" $) (not (has $handlers (list "exec" "tcpSocket"))) -}}
{{- fail (printf "%s: with client_auth_type %s every request needs a certificate, and the kubelet has none: give the probe an exec of aliyun-vod-exporter check-healthy --url=https://127.0.0.1:9985 --tls.insecure-skip-verify --tls.cert-file=... --tls.key-file=..., or tcpSocket, or make it null; the chart's README.md shows how" $kind $tls.client_auth_type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether nobody may ask anything without a certificate, as far as the values tell. */}}
{{- define "aliyun-vod-exporter.demandsCertificates" -}}
{{- $tls := default dict (default dict .Values.webConfig.config).tls_server_config -}}
{{- if hasPrefix "Require" (toString $tls.client_auth_type) -}}
true
{{- end -}}
{{- end -}}

{{- define "aliyun-vod-exporter.checkedLabels" -}}
{{- $own := splitList " " (include "aliyun-vod-exporter.ownLabels" .) -}}
{{- range $where := list "commonLabels" "podLabels" "service.labels" "serviceMonitor.labels" "podMonitor.labels" "vmServiceScrape.labels" "prometheusRule.labels" "alertmanagerConfig.labels" "dashboards.labels" -}}
{{- $labels := $.Values -}}
{{- range splitList "." $where -}}
{{- $labels = get $labels . -}}
{{- end -}}
{{- range $label := keys (default dict $labels) | sortAlpha -}}
{{- if has $label $own -}}
{{- fail (printf "%s: the label %s is the chart's own; leave it out" $where $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Git, helm and helm package follow the links of files/; what unpacks a source archive, and Windows, may not. */}}
{{- define "aliyun-vod-exporter.linkLost" -}}
{{- fail (printf "the chart has no files/%s: that is a symbolic link, and something did not follow it. In a checkout where it is one, run: helm package deploy/helm/aliyun-vod-exporter; and install the .tgz it makes" .) -}}
{{- end -}}

{{/* Whether an account has no AccessKey as far as the values tell: neither its own, nor of the chart, nor of the environment. */}}
{{- define "aliyun-vod-exporter.keyless" -}}
{{- $given := or (include "aliyun-vod-exporter.credentialsSecret" .) .Values.rrsa.roleName .Values.envFrom -}}
{{- range include "aliyun-vod-exporter.env" . | fromYamlArray -}}
{{- if hasPrefix "ALIBABA_CLOUD_" .name -}}
{{- $given = true -}}
{{- end -}}
{{- end -}}
{{- $accounts := default (list dict) .Values.config.accounts -}}
{{- range ternary (list $accounts) $accounts (kindIs "map" $accounts) -}}
{{- if not (or $given .credentials) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names of 0.1.0 in prometheusRule, and what they are called now; empty: there is no such thing any more. */}}
{{- define "aliyun-vod-exporter.formerNames" -}}
AliyunVodApiErrors: ""
AliyunVodCallBudgetSpent: AliyunVodBudgetSpent
AliyunVodDataStale: AliyunVodQueryFailing
AliyunVodDayNotReady: AliyunVodDayNotSettled
AliyunVodPlaysDropped: AliyunVodMediaPlaysDropped
AliyunVodPlaysGone: AliyunVodMediaPlaysGone
AliyunVodThrottled: ""
AliyunVodViewersDropped: AliyunVodMediaViewersDropped
AliyunVodWatchTimeDropped: AliyunVodMediaWatchTimeDropped
aliyun_vod:api_errors_ratio:threshold: ""
aliyun_vod:api_throttled_ratio:threshold: ""
aliyun_vod:viewers:threshold: ""
{{- end -}}
