{{/* The pod, whatever runs it. */}}
{{- define "aliyun-vod-exporter.pod" -}}
{{- include "aliyun-vod-exporter.checked" . -}}
metadata:
  labels:
    {{- include "aliyun-vod-exporter.selector" . | nindent 4 }}
    {{- $injection := ternary (dict "pod-identity.alibabacloud.com/injection" "on") dict (not (empty .Values.rrsa.roleName)) }}
    {{- with merge dict (default dict .Values.podLabels) $injection (default dict .Values.commonLabels) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- if not .Values.existingConfigMap }}
    # Settings are read at the start. Keys, certificates and passwords are read again by themselves.
    checksum/config: {{ include "aliyun-vod-exporter.config" . | sha256sum }}
    {{- end }}
    {{- with merge dict (omit (default dict .Values.podAnnotations) "checksum/config") (dict "kubectl.kubernetes.io/default-container" "exporter") }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "aliyun-vod-exporter.serviceAccount" . | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with include "aliyun-vod-exporter.placement" . }}
  {{- trim . | nindent 2 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if or .Values.demo.enabled .Values.initContainers }}
  initContainers:
    {{- if .Values.demo.enabled }}
    {{- include "aliyun-vod-exporter.simulator" . | nindent 4 }}
    {{- end }}
    {{- with .Values.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    {{- include "aliyun-vod-exporter.exporter" . | nindent 4 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "aliyun-vod-exporter.configMap" . | quote }}
    {{- with include "aliyun-vod-exporter.credentialsSecret" . }}
    - name: credentials
      secret:
        secretName: {{ . | quote }}
        defaultMode: 0440
    {{- end }}
    {{- with include "aliyun-vod-exporter.webSecret" . }}
    - name: web
      secret:
        secretName: {{ . | quote }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.storage.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ . | quote }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What lets the pod start where it is to run; that of helm test too. */}}
{{- define "aliyun-vod-exporter.placement" -}}
{{- with include "aliyun-vod-exporter.pullSecrets" . | fromYamlArray }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- range $setting := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $.Values $setting }}
{{ $setting }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "aliyun-vod-exporter.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (default list (.Values.global).imagePullSecrets) (default list .Values.imagePullSecrets) (default list .Values.image.pullSecrets) -}}
{{- $secrets = append $secrets (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- toYaml (uniq $secrets) -}}
{{- end -}}

{{/* The variables of extraEnv, after those of its old name. */}}
{{- define "aliyun-vod-exporter.env" -}}
{{- $variables := default list .Values.env -}}
{{- if kindIs "map" .Values.extraEnv -}}
{{- range $name, $value := .Values.extraEnv -}}
{{- $variables = append $variables (dict "name" $name "value" $value) -}}
{{- end -}}
{{- else -}}
{{- $variables = concat $variables (default list .Values.extraEnv) -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* No subPath anywhere: files mounted so do not follow their Secret. */}}
{{- define "aliyun-vod-exporter.exporter" -}}
- name: exporter
  image: {{ include "aliyun-vod-exporter.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - serve
    - --config.file=/etc/aliyun-vod-exporter/config.yaml
    - --web.listen-address=:9985
    - --log.level={{ .Values.log.level }}
    - --log.format={{ .Values.log.format }}
    {{- if include "aliyun-vod-exporter.storage" . }}
    - --storage.path=/data/state.db
    {{- end }}
    {{- if include "aliyun-vod-exporter.webSecret" . }}
    - --web.config.file=/etc/aliyun-vod-exporter-web/{{ .Values.webConfig.key }}
    {{- end }}
    {{- if gt (int .Values.shards) 1 }}
    - --shard=$(SHARD)
    - --total-shards={{ .Values.shards }}
    {{- end }}
    {{- if kindIs "map" .Values.extraArgs }}
    {{- range $name, $value := .Values.extraArgs }}
    - {{ printf "--%s%s" $name (ternary "" (printf "=%v" $value) (eq (toString $value) "true")) | quote }}
    {{- end }}
    {{- else }}
    {{- with .Values.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
  {{- $env := include "aliyun-vod-exporter.env" . | fromYamlArray }}
  {{- if or $env (gt (int .Values.shards) 1) }}
  env:
    {{- if gt (int .Values.shards) 1 }}
    - name: SHARD
      valueFrom:
        fieldRef:
          fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
    {{- end }}
    {{- with $env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  {{- with .Values.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - name: metrics
      containerPort: 9985
  {{- range $kind, $path := dict "startupProbe" "/-/healthy" "livenessProbe" "/-/healthy" "readinessProbe" "/-/ready" }}
  {{- with get $.Values $kind }}
  {{ $kind }}:
    {{- if not (include "aliyun-vod-exporter.ownHandlers" .) }}
    httpGet:
      path: {{ $path }}
      port: metrics
      scheme: {{ include "aliyun-vod-exporter.scheme" $ | upper }}
    {{- end }}
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/aliyun-vod-exporter
      readOnly: true
    {{- if include "aliyun-vod-exporter.credentialsSecret" . }}
    - name: credentials
      mountPath: /run/secrets/aliyun-vod-exporter
      readOnly: true
    {{- end }}
    {{- if include "aliyun-vod-exporter.webSecret" . }}
    - name: web
      mountPath: /etc/aliyun-vod-exporter-web
      readOnly: true
    {{- end }}
    {{- if include "aliyun-vod-exporter.storage" . }}
    - name: data
      mountPath: /data
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* How a probe of the values asks, where it says so itself. */}}
{{- define "aliyun-vod-exporter.ownHandlers" -}}
{{- $given := list -}}
{{- range $handler := list "exec" "grpc" "httpGet" "tcpSocket" -}}
{{- if get $ $handler -}}
{{- $given = append $given $handler -}}
{{- end -}}
{{- end -}}
{{- join " " $given -}}
{{- end -}}

{{/* A native sidecar: it answers before the exporter asks. */}}
{{- define "aliyun-vod-exporter.simulator" -}}
- name: simulator
  image: {{ include "aliyun-vod-exporter.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  args:
    - simulate
    - --web.listen-address=:9986
    - --media={{ .Values.demo.media }}
    - --incident=collapse@{{ .Values.demo.collapse }}
  ports:
    - name: simulator
      containerPort: 9986
  startupProbe:
    tcpSocket:
      port: simulator
    periodSeconds: 1
    failureThreshold: 60
  resources:
    {{- toYaml .Values.demo.resources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
{{- end -}}
