//! Creates the table from its definition in `template.yaml`, which is the only definition for AWS and for the local
//! system.

use dynoxide::{
    Database,
    actions::{
        create_table::CreateTableRequest, describe_table::DescribeTableRequest, update_table::UpdateTableRequest,
        update_time_to_live::UpdateTimeToLiveRequest,
    },
};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("../../../template.yaml");

/// The properties of a CloudFormation table that `CreateTable` accepts under the same names.
const CREATE_TABLE: [&str; 4] = ["BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"];

/// Why the table could not be created.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The template is not valid YAML, or defines no table.
    #[error("template.yaml: {0}")]
    Template(String),
    #[error("could not create the table: {0}")]
    Database(#[from] dynoxide::DynoxideError),
    #[error("the definition of the table is malformed: {0}")]
    Definition(#[from] serde_json::Error),
}

/// The definition of the table in the form of DynamoDB's API.
#[derive(Debug, Clone, PartialEq)]
pub struct TableDefinition {
    /// The body of `CreateTable` without the table's name.
    pub create_table: Value,
    /// The name of the table's TTL attribute.
    pub ttl_attribute: Option<String>,
}

/// This project's template as JSON. Tags such as `!Ref` are dropped, and their values are kept.
pub fn template() -> Result<Value, TableError> {
    yaml(TEMPLATE)
}

/// Converts YAML to JSON. Tags are dropped, and their values are kept.
pub fn yaml(text: &str) -> Result<Value, TableError> {
    let documents = Yaml::load_from_str(text).map_err(|error| TableError::Template(error.to_string()))?;
    Ok(documents.first().map(to_json).unwrap_or_default())
}

impl TableDefinition {
    /// Reads the resource `Table` of this project's template.
    pub fn from_template() -> Result<Self, TableError> {
        Self::parse(TEMPLATE)
    }

    fn parse(template: &str) -> Result<Self, TableError> {
        let template = yaml(template)?;
        let properties = template
            .pointer("/Resources/Table/Properties")
            .and_then(Value::as_object)
            .ok_or_else(|| TableError::Template("it has no resource `Table` with properties".to_owned()))?;
        let mut create_table: serde_json::Map<String, Value> = CREATE_TABLE
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), properties.get(name)?.clone())))
            .collect();
        if let Some(view) = properties.get("StreamSpecification") {
            // CloudFormation has no `StreamEnabled`: a stream that is named is on.
            create_table.insert(
                "StreamSpecification".to_owned(),
                json!({"StreamEnabled": true, "StreamViewType": view["StreamViewType"]}),
            );
        }
        let ttl = &properties.get("TimeToLiveSpecification");
        let ttl_attribute = ttl
            .filter(|ttl| ttl["Enabled"] == json!(true))
            .and_then(|ttl| ttl["AttributeName"].as_str().map(str::to_owned));
        Ok(Self { create_table: Value::Object(create_table), ttl_attribute })
    }

    /// Creates the table with the given name. A table that exists gets the indexes that it does not have: an earlier
    /// version of this system may have created it.
    pub fn create(&self, database: &Database, name: &str) -> Result<(), TableError> {
        let describe: DescribeTableRequest = serde_json::from_value(json!({"TableName": name}))?;
        if let Ok(existing) = database.describe_table(describe) {
            return self.add_indexes(database, name, &serde_json::to_value(existing)?["Table"]);
        }
        let mut create_table = self.create_table.clone();
        create_table["TableName"] = json!(name);
        database.create_table(serde_json::from_value::<CreateTableRequest>(create_table)?)?;
        if let Some(attribute) = &self.ttl_attribute {
            let request: UpdateTimeToLiveRequest = serde_json::from_value(json!({
                "TableName": name,
                "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": true},
            }))?;
            database.update_time_to_live(request)?;
        }
        Ok(())
    }
}

impl TableDefinition {
    fn add_indexes(&self, database: &Database, name: &str, existing: &Value) -> Result<(), TableError> {
        let indexes = |table: &Value| table["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default();
        let known: Vec<Value> = indexes(existing).iter().map(|index| index["IndexName"].clone()).collect();
        let new = indexes(&self.create_table).into_iter().filter(|index| !known.contains(&index["IndexName"]));
        for index in new {
            database.update_table(serde_json::from_value::<UpdateTableRequest>(json!({
                "TableName": name,
                "AttributeDefinitions": self.create_table["AttributeDefinitions"],
                "GlobalSecondaryIndexUpdates": [{"Create": index}],
            }))?)?;
        }
        Ok(())
    }
}

/// Tags (`!Ref`, `!Sub`, `!GetAtt`) are dropped: the definition of the table uses none.
fn to_json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => {
            entries.iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), to_json(value)))).collect()
        }
        Yaml::Tagged(_, node) => to_json(node),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(database: &Database) -> Value {
        let request = serde_json::from_value(json!({"TableName": "Table"})).unwrap();
        serde_json::to_value(database.describe_table(request).unwrap()).unwrap()["Table"].clone()
    }

    #[test]
    fn the_table_of_the_template_has_its_keys_indexes_stream_and_expiry() {
        let database = Database::memory().unwrap();
        let definition = TableDefinition::from_template().unwrap();
        definition.create(&database, "Table").unwrap();

        let table = described(&database);
        assert_eq!(table["KeySchema"][0], json!({"AttributeName": "PK", "KeyType": "HASH"}));
        assert_eq!(table["KeySchema"][1], json!({"AttributeName": "SK", "KeyType": "RANGE"}));
        let mut indexes: Vec<_> = table["GlobalSecondaryIndexes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|index| index["IndexName"].as_str().unwrap())
            .collect();
        indexes.sort_unstable();
        assert_eq!(indexes, ["byDue", "byStatus", "byTime"]);
        assert_eq!(table["StreamSpecification"], json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}));
        let request = serde_json::from_value(json!({"TableName": "Table"})).unwrap();
        let ttl = serde_json::to_value(database.describe_time_to_live(request).unwrap()).unwrap();
        assert_eq!(ttl["TimeToLiveDescription"]["AttributeName"], "ttl");
    }

    #[test]
    fn a_table_that_exists_is_left_as_it_is() {
        let database = Database::memory().unwrap();
        let definition = TableDefinition::from_template().unwrap();
        definition.create(&database, "Table").unwrap();
        let put = json!({"TableName": "Table", "Item": {"PK": {"S": "a"}, "SK": {"S": "b"}}});
        database.put_item(serde_json::from_value(put).unwrap()).unwrap();

        definition.create(&database, "Table").unwrap();
        let get = json!({"TableName": "Table", "Key": {"PK": {"S": "a"}, "SK": {"S": "b"}}});
        assert!(database.get_item(serde_json::from_value(get).unwrap()).unwrap().item.is_some());
    }

    #[test]
    fn a_table_of_an_earlier_version_gets_the_indexes_that_it_does_not_have() {
        let database = Database::memory().unwrap();
        let definition = TableDefinition::from_template().unwrap();
        let mut earlier = definition.clone();
        let indexes = earlier.create_table["GlobalSecondaryIndexes"].as_array_mut().unwrap();
        indexes.retain(|index| index["IndexName"] != "byTime");
        let attributes = earlier.create_table["AttributeDefinitions"].as_array_mut().unwrap();
        attributes.retain(|attribute| !["logShard", "eventId"].contains(&attribute["AttributeName"].as_str().unwrap()));
        earlier.create(&database, "Table").unwrap();
        let put = json!({"TableName": "Table", "Item": {"PK": {"S": "a"}, "SK": {"S": "b"}, "logShard": {"S": "c"}, "eventId": {"S": "d"}}});
        database.put_item(serde_json::from_value(put).unwrap()).unwrap();

        definition.create(&database, "Table").unwrap();
        definition.create(&database, "Table").unwrap();
        assert_eq!(described(&database)["GlobalSecondaryIndexes"].as_array().unwrap().len(), 3);
        let query = json!({"TableName": "Table", "IndexName": "byTime", "KeyConditionExpression": "logShard = :c",
            "ExpressionAttributeValues": {":c": {"S": "c"}}});
        let found = database.query(serde_json::from_value(query).unwrap()).unwrap();
        assert_eq!(found.count, 1);
    }

    #[test]
    fn short_tags_elsewhere_in_the_template_are_ignored() {
        let definition = TableDefinition::parse(
            "Resources:\n  Role: !GetAtt [Other, Arn]\n  Table:\n    Properties:\n      TableName: !Sub '${AWS::StackName}'\n      BillingMode: PAY_PER_REQUEST\n      KMSKey: !If [a, !Ref Key, {b: !Ref C}]\n",
        )
        .unwrap();
        assert_eq!(definition.create_table, json!({"BillingMode": "PAY_PER_REQUEST"}));
        assert_eq!(definition.ttl_attribute, None);
    }

    #[test]
    fn a_template_without_the_table_is_refused() {
        assert!(matches!(TableDefinition::parse("Resources: {}"), Err(TableError::Template(_))));
    }
}
