"""What a person explores in Kibana: data views, dashboards and a map, made from the index templates.

    fields -> views -> columns -> charts, maps -> boards -> bundle -> validate -> install

Everything before `install` is a function from the packaged templates to values; nothing is read from a Kibana.
"""
