{{/* Names and labels. */}}

{{- define "aliyun-vod-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: with a hash behind it, the name of a StatefulSet is a label of its pods, which may have 63. A Service may have no dot. */}}
{{- define "aliyun-vod-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "aliyun-vod-exporter.name" .) .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "aliyun-vod-exporter.name" .) | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The keys of the labels that are the chart's own: what is there twice is no YAML. */}}
{{- define "aliyun-vod-exporter.ownLabels" -}}
helm.sh/chart app.kubernetes.io/name app.kubernetes.io/instance app.kubernetes.io/version app.kubernetes.io/managed-by app.kubernetes.io/component
{{- end -}}

{{/* Labels of this release's objects, whatever they are. */}}
{{- define "aliyun-vod-exporter.labels" -}}
{{- include "aliyun-vod-exporter.labelsAnd" (list . dict) -}}
{{- end -}}

{{/* The same and more of one object: (list . more); more wins over commonLabels. */}}
{{- define "aliyun-vod-exporter.labelsAnd" -}}
{{- $more := index . 1 -}}
{{- with index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/name: {{ include "aliyun-vod-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with merge dict (default dict $more) (default dict .Values.commonLabels) }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* What the exporter's pod is selected by; the component keeps the test's pod out. */}}
{{- define "aliyun-vod-exporter.selector" -}}
app.kubernetes.io/name: {{ include "aliyun-vod-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: exporter
{{- end -}}

{{- define "aliyun-vod-exporter.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "aliyun-vod-exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "aliyun-vod-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Names of objects that are the chart's or were there already; empty: neither. */}}

{{- define "aliyun-vod-exporter.configMap" -}}
{{- default (include "aliyun-vod-exporter.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{- define "aliyun-vod-exporter.credentialsSecret" -}}
{{- if .Values.credentials.existingSecret -}}
{{- .Values.credentials.existingSecret -}}
{{- else if .Values.credentials.accessKeyId -}}
{{- include "aliyun-vod-exporter.fullname" . }}-credentials
{{- end -}}
{{- end -}}

{{- define "aliyun-vod-exporter.webSecret" -}}
{{- if .Values.webConfig.existingSecret -}}
{{- .Values.webConfig.existingSecret -}}
{{- else if .Values.webConfig.config -}}
{{- include "aliyun-vod-exporter.fullname" . }}-web
{{- end -}}
{{- end -}}

{{/* Whether there is a volume: as the values say, or else where drop alerts are. */}}
{{- define "aliyun-vod-exporter.storage" -}}
{{- if ternary .Values.prometheusRule.enabled .Values.storage.enabled (kindIs "invalid" .Values.storage.enabled) -}}
true
{{- end -}}
{{- end -}}

{{/* Storage and the number of a shard belong to a pod that keeps its name. */}}
{{- define "aliyun-vod-exporter.kind" -}}
{{- ternary "StatefulSet" "Deployment" (or (not (empty (include "aliyun-vod-exporter.storage" .))) (gt (int .Values.shards) 1)) -}}
{{- end -}}

{{/* What is spoken on the exporter's port. */}}
{{- define "aliyun-vod-exporter.scheme" -}}
{{- if include "aliyun-vod-exporter.webSecret" . }}{{ .Values.webConfig.scheme }}{{ else }}http{{ end -}}
{{- end -}}
